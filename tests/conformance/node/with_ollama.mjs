// What somebody writes with `ollama`; it reads no environment, so host and key are given.
import { Ollama } from 'ollama'

const weather = {
  type: 'function',
  function: {
    name: 'weather',
    description: 'The weather of a city.',
    parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
  },
}
const forecast = {
  type: 'object',
  properties: { city: { type: 'string' }, degrees: { type: 'integer' } },
  required: ['city', 'degrees'],
}

const client = ({ url, key }) =>
  new Ollama({
    host: url ?? process.env.OLLAMA_HOST,
    headers: { Authorization: `Bearer ${key ?? process.env.OLLAMA_API_KEY}` },
  })
const asks = (question) => [{ role: 'user', content: question }]

export async function models(where) {
  return (await client(where).list()).models.map((one) => one.model)
}

export async function model({ name, ...where }) {
  return (await client(where).show({ model: name })).capabilities
}

export async function running(where) {
  return (await client(where).ps()).models.map((one) => one.model)
}

export async function answer({ model, question, ...where }) {
  return (await client(where).chat({ model, messages: asks(question) })).message.content
}

export async function talk({ model, turns, ...where }) {
  const messages = turns.map(([role, content]) => ({ role, content }))
  return (await client(where).chat({ model, messages })).message.content
}

export async function* stream({ model, question, most, ...where }) {
  const options = most ? { num_predict: most } : undefined
  for await (const part of await client(where).chat({ model, messages: asks(question), stream: true, options })) {
    if (part.message.content) yield part.message.content
  }
}

export async function* leave({ model, question, ...where }) {
  const parts = await client(where).chat({ model, messages: asks(question), stream: true })
  for await (const part of parts) {
    if (part.message.content) {
      yield part.message.content
      parts.abort()
      break
    }
  }
}

export async function give_up({ model, question, ...where }) {
  const asker = client(where)
  const parts = await asker.chat({ model, messages: asks(question), stream: true })
  setTimeout(() => asker.abort(), 500)
  for await (const _ of parts);
}

export async function generate({ model, question, ...where }) {
  return (await client(where).generate({ model, prompt: question })).response
}

export async function* generate_stream({ model, question, ...where }) {
  for await (const part of await client(where).generate({ model, prompt: question, stream: true })) yield part.response
}

export async function usage({ model, question, ...where }) {
  const whole = await client(where).chat({ model, messages: asks(question) })
  let last
  for await (const part of await client(where).chat({ model, messages: asks(question), stream: true })) last = part
  return [whole, last].map((one) => [one.prompt_eval_count, one.eval_count])
}

export async function limit({ model, question, ...where }) {
  const said = await client(where).chat({ model, messages: asks(question), options: { num_predict: 3 } })
  return [said.message.content, said.done_reason]
}

export async function think({ model, question, ...where }) {
  const { message } = await client(where).chat({ model, messages: asks(question), think: true })
  return [message.thinking, message.content]
}

export async function tool({ model, question, ...where }) {
  const messages = asks(question)
  const ask = async () => (await client(where).chat({ model, messages, tools: [weather] })).message
  const first = await ask()
  const [{ function: call }] = first.tool_calls
  messages.push(first, { role: 'tool', tool_name: call.name, content: 'It rains.' })
  return [call.name, call.arguments, (await ask()).content]
}

export async function structured({ model, question, ...where }) {
  return JSON.parse((await client(where).chat({ model, messages: asks(question), format: forecast })).message.content)
}

export async function any_json({ model, question, ...where }) {
  return JSON.parse((await client(where).chat({ model, messages: asks(question), format: 'json' })).message.content)
}

export async function wrong({ model, question, ...where }) {
  return (await client(where).chat({ model, messages: asks(question), options: { top_k: 'many' } })).message.content
}

export async function embed({ model, texts, ...where }) {
  return (await client(where).embed({ model, input: texts })).embeddings
}
