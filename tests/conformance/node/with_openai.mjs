// What somebody writes with `openai`; OPENAI_BASE_URL and OPENAI_API_KEY say whose server it is.
import OpenAI from 'openai'
import { zodResponseFormat, zodTextFormat } from 'openai/helpers/zod'
import { z } from 'zod'

const Forecast = z.object({ city: z.string(), degrees: z.number().int() })
const weather = {
  type: 'function',
  function: {
    name: 'weather',
    description: 'The weather of a city.',
    parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
  },
}

const client = ({ url, key }, options = {}) => new OpenAI({ baseURL: url, apiKey: key, ...options })
const asks = (question) => [{ role: 'user', content: question }]

export async function models(where) {
  const found = []
  for await (const model of client(where).models.list()) found.push(model.id)
  return found
}

export async function model({ name, ...where }) {
  return (await client(where).models.retrieve(name)).id
}

export async function answer({ model, question, ...where }) {
  const completion = await client(where).chat.completions.create({ model, messages: asks(question) })
  return completion.choices[0].message.content
}

export async function talk({ model, turns, ...where }) {
  const messages = turns.map(([role, content]) => ({ role, content }))
  return (await client(where).chat.completions.create({ model, messages })).choices[0].message.content
}

export async function* stream({ model, question, most, ...where }) {
  const chunks = await client(where).chat.completions.create({
    model, messages: asks(question), stream: true, max_tokens: most,
  })
  for await (const chunk of chunks) {
    const text = chunk.choices[0].delta.content
    if (text) yield text
  }
}

export async function* leave({ model, question, ...where }) {
  const chunks = await client(where).chat.completions.create({ model, messages: asks(question), stream: true })
  for await (const chunk of chunks) {
    const text = chunk.choices[0].delta.content
    if (text) {
      yield text
      break
    }
  }
}

export async function give_up({ model, question, ...where }) {
  const options = { timeout: 500, maxRetries: 0 }
  return (await client(where, options).chat.completions.create({ model, messages: asks(question) })).id
}

export async function usage({ model, question, ...where }) {
  const whole = await client(where).chat.completions.create({ model, messages: asks(question) })
  const chunks = await client(where).chat.completions.create({
    model, messages: asks(question), stream: true, stream_options: { include_usage: true },
  })
  let last
  for await (const chunk of chunks) last = chunk
  return [whole.usage, last.usage].map((one) => [one.prompt_tokens, one.completion_tokens])
}

export async function limit({ model, question, ...where }) {
  const body = { model, messages: asks(question), max_completion_tokens: 3 }
  const [choice] = (await client(where).chat.completions.create(body)).choices
  return [choice.message.content, choice.finish_reason]
}

export async function tool({ model, question, ...where }) {
  const messages = asks(question)
  const ask = async () => (await client(where).chat.completions.create({ model, messages, tools: [weather] })).choices[0].message
  const first = await ask()
  const [call] = first.tool_calls
  messages.push(first, { role: 'tool', tool_call_id: call.id, content: 'It rains.' })
  return [call.function.name, JSON.parse(call.function.arguments), (await ask()).content]
}

export async function tool_stream({ model, question, ...where }) {
  const runner = client(where).chat.completions.stream({ model, messages: asks(question), tools: [weather] })
  const [call] = (await runner.finalChatCompletion()).choices[0].message.tool_calls
  return [call.function.name, JSON.parse(call.function.arguments)]
}

export async function structured({ model, question, ...where }) {
  const completion = await client(where).chat.completions.parse({
    model, messages: asks(question), response_format: zodResponseFormat(Forecast, 'forecast'),
  })
  return completion.choices[0].message.parsed
}

export async function any_json({ model, question, ...where }) {
  const completion = await client(where).chat.completions.create({
    model, messages: asks(question), response_format: { type: 'json_object' },
  })
  return JSON.parse(completion.choices[0].message.content)
}

export async function wrong({ model, question, ...where }) {
  return (await client(where).chat.completions.create({ model, messages: asks(question), temperature: 3 })).id
}

export async function embed({ model, texts, ...where }) {
  return (await client(where).embeddings.create({ model, input: texts })).data.map((one) => one.embedding)
}

const looks = { type: 'function', ...weather.function, strict: null }

export async function respond({ model, question, ...where }) {
  const response = await client(where).responses.create({ model, input: question })
  return [response.status, response.output_text]
}

export async function* respond_stream({ model, question, most, ...where }) {
  const events = await client(where).responses.create({ model, input: question, stream: true, max_output_tokens: most })
  for await (const event of events) {
    if (event.type === 'response.output_text.delta') yield event.delta
    else if (event.type === 'response.failed') throw new Error(event.response.error.message)
  }
}

export async function respond_whole_stream({ model, question, ...where }) {
  const response = await client(where).responses.stream({ model, input: question }).finalResponse()
  return [response.status, response.output_text]
}

export async function* respond_leave({ model, question, ...where }) {
  const events = await client(where).responses.create({ model, input: question, stream: true })
  for await (const event of events) {
    if (event.type === 'response.output_text.delta') {
      yield event.delta
      break
    }
  }
}

export async function respond_usage({ model, question, ...where }) {
  const { usage } = await client(where).responses.create({ model, input: question })
  return [usage.input_tokens, usage.output_tokens]
}

export async function respond_limit({ model, question, ...where }) {
  const response = await client(where).responses.create({ model, input: question, max_output_tokens: 3 })
  return [response.output_text, response.status, response.incomplete_details.reason]
}

export async function respond_tool({ model, question, ...where }) {
  const input = asks(question)
  const ask = () => client(where).responses.create({ model, input, tools: [looks] })
  const first = await ask()
  const call = first.output.find((one) => one.type === 'function_call')
  input.push(...first.output, { type: 'function_call_output', call_id: call.call_id, output: 'It rains.' })
  return [call.name, JSON.parse(call.arguments), (await ask()).output_text]
}

export async function respond_structured({ model, question, ...where }) {
  const text = { format: zodTextFormat(Forecast, 'forecast') }
  return (await client(where).responses.parse({ model, input: question, text })).output_parsed
}

export async function respond_after({ model, first, question, ...where }) {
  const begun = await client(where).responses.create({ model, input: first })
  const body = { model, input: question, previous_response_id: begun.id }
  return (await client(where).responses.create(body)).output_text
}

export async function respond_background({ model, question, ...where }) {
  let response = await client(where).responses.create({ model, input: question, background: true })
  while (['queued', 'in_progress'].includes(response.status)) {
    await new Promise((done) => setTimeout(done, 100))
    response = await client(where).responses.retrieve(response.id)
  }
  return [response.status, response.output_text]
}

export async function* respond_resume({ model, question, ...where }) {
  const events = await client(where).responses.create({ model, input: question, background: true, stream: true })
  let id, seen
  for await (const event of events) {
    if (event.type === 'response.created') id = event.response.id
    seen = event.sequence_number
    if (event.type === 'response.output_text.delta') {
      yield event.delta
      break
    }
  }
  for await (const event of await client(where).responses.retrieve(id, { stream: true, starting_after: seen })) {
    if (event.sequence_number <= seen) throw new Error('told again')
    if (event.type === 'response.output_text.delta') yield event.delta
  }
}

export async function respond_cancel({ model, question, ...where }) {
  const begun = await client(where).responses.create({ model, input: question, background: true })
  return (await client(where).responses.cancel(begun.id)).status
}
