// What somebody writes with `ai` and `@ai-sdk/openai-compatible`.
import { createOpenAICompatible } from '@ai-sdk/openai-compatible'
import { embedMany, generateText, Output, stepCountIs, streamText, tool as makeTool } from 'ai'
import { z } from 'zod'

const Forecast = z.object({ city: z.string(), degrees: z.number().int() })
const weather = makeTool({
  description: 'The weather of a city.',
  inputSchema: z.object({ city: z.string() }),
  execute: async () => 'It rains.',
})

const provider = ({ url, key }) =>
  createOpenAICompatible({
    name: 'ollamanet',
    baseURL: url ?? process.env.OPENAI_BASE_URL,
    apiKey: key ?? process.env.OPENAI_API_KEY,
    includeUsage: true,
    supportsStructuredOutputs: true,
  })

export async function answer({ model, question, ...where }) {
  return (await generateText({ model: provider(where)(model), prompt: question })).text
}

export async function talk({ model, turns, ...where }) {
  const messages = turns.map(([role, content]) => ({ role, content }))
  return (await generateText({ model: provider(where)(model), messages })).text
}

async function* textOf(result) {
  for await (const part of result.fullStream) {
    if (part.type === 'error') throw part.error
    if (part.type === 'text-delta' && part.text) yield part.text
  }
}

export async function* stream({ model, question, most, ...where }) {
  yield* textOf(streamText({ model: provider(where)(model), prompt: question, maxOutputTokens: most, onError() {} }))
}

export async function* leave({ model, question, ...where }) {
  const leaving = new AbortController()
  const result = streamText({ model: provider(where)(model), prompt: question, abortSignal: leaving.signal })
  for await (const text of result.textStream) {
    yield text
    leaving.abort()
    break
  }
}

export async function give_up({ model, question, ...where }) {
  const abortSignal = AbortSignal.timeout(500)
  return (await generateText({ model: provider(where)(model), prompt: question, abortSignal })).text
}

export async function usage({ model, question, ...where }) {
  const whole = await generateText({ model: provider(where)(model), prompt: question })
  const streamed = streamText({ model: provider(where)(model), prompt: question })
  await streamed.consumeStream()
  return [whole.usage, await streamed.usage].map((one) => [one.inputTokens, one.outputTokens])
}

export async function limit({ model, question, ...where }) {
  const said = await generateText({ model: provider(where)(model), prompt: question, maxOutputTokens: 3 })
  return [said.text, said.finishReason]
}

export async function think({ model, question, ...where }) {
  const result = streamText({ model: provider(where)(model), prompt: question })
  await result.consumeStream()
  return [await result.reasoningText, await result.text]
}

export async function tool({ model, question, ...where }) {
  const { steps, text } = await generateText({
    model: provider(where)(model), prompt: question, tools: { weather }, stopWhen: stepCountIs(2),
  })
  const [call] = steps[0].toolCalls
  return [call.toolName, call.input, text]
}

export async function tool_stream({ model, question, ...where }) {
  const result = streamText({ model: provider(where)(model), prompt: question, tools: { weather: { ...weather, execute: undefined } } })
  const [call] = await result.toolCalls
  return [call.toolName, call.input]
}

export async function structured({ model, question, ...where }) {
  const output = Output.object({ schema: Forecast })
  return (await generateText({ model: provider(where)(model), prompt: question, output })).output
}

export async function wrong({ model, question, ...where }) {
  return (await generateText({ model: provider(where)(model), prompt: question, temperature: 3 })).text
}

export async function embed({ model, texts, ...where }) {
  return (await embedMany({ model: provider(where).textEmbeddingModel(model), values: texts })).embeddings
}
