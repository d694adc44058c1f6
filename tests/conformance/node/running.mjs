// Calls the functions of one program; the lines are those of ../running.py.
import { createInterface } from 'node:readline'
import { pathToFileURL } from 'node:url'

console.log = console.error // what a client prints is no line of ours
const tell = (line) => process.stdout.write(JSON.stringify(line) + '\n')

async function run(program, { id, call, given }) {
  try {
    const result = program[call](given)
    if (result[Symbol.asyncIterator]) {
      for await (const said of result) tell({ id, said })
      tell({ id, returned: null })
    } else tell({ id, returned: (await result) ?? null })
  } catch (error) {
    const kinds = [error.name]
    for (let one = Object.getPrototypeOf(error); one; one = Object.getPrototypeOf(one)) kinds.push(one.constructor.name)
    const status = error.status ?? error.statusCode ?? error.status_code ?? null
    tell({ id, raised: { kinds, status, words: String(error.message) } })
  }
}

const program = await import(pathToFileURL(process.argv[2]))
for await (const line of createInterface({ input: process.stdin })) run(program, JSON.parse(line))
process.exit()
