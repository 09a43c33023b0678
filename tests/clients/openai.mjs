// OpenAI's own client against heed serve: `node openai.mjs URL MODEL`, where the package `openai` is installed. MODEL must
// have a chat template. Ends with an error where anything is not as the client expects.
import assert from 'node:assert/strict';
import OpenAI from 'openai';

const [url, model] = process.argv.slice(2);
const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: process.env.HEED_API_KEY ?? 'none', maxRetries: 0 });
const messages = [
  { role: 'system', content: 'Be brief.' },
  { role: 'user', content: [{ type: 'text', text: 'Hello' }] },
];

const models = await client.models.list();
assert(models.data.some((entry) => entry.id === model));
assert.equal((await client.models.retrieve(model)).id, model);

// A whole answer, the same again for its seed, and the same as a stream.
const asked = { model, messages, max_completion_tokens: 12, seed: 7, temperature: 1 };
const answer = await client.chat.completions.create(asked);
assert.equal(answer.object, 'chat.completion');
assert.equal(answer.choices[0].message.role, 'assistant');
assert.equal(answer.usage.total_tokens, answer.usage.prompt_tokens + answer.usage.completion_tokens);
const again = await client.chat.completions.create(asked);
assert.equal(again.choices[0].message.content, answer.choices[0].message.content);
let text = '';
let usage = null;
const stream = await client.chat.completions.create({ ...asked, stream: true, stream_options: { include_usage: true } });
for await (const chunk of stream) {
  text += chunk.choices[0]?.delta?.content ?? '';
  usage = chunk.usage ?? usage;
}
assert.equal(text, answer.choices[0].message.content);
assert.deepEqual(usage, answer.usage);

// The client's own helper that puts a stream together.
const runner = client.chat.completions.stream(asked);
assert.equal((await runner.finalChatCompletion()).choices[0].message.content, text);

// Several choices, and the older interface with several prompts.
const choices = await client.chat.completions.create({ ...asked, n: 3 });
assert.deepEqual(choices.choices.map((choice) => choice.index), [0, 1, 2]);
assert.equal(choices.choices[0].message.content, text);
const completions = await client.completions.create({ model, prompt: ['a', 'b'], max_tokens: 3, n: 2, seed: 1 });
assert.equal(completions.choices.length, 4);

// Log probabilities.
const logprobs = await client.chat.completions.create({ ...asked, logprobs: true, top_logprobs: 3 });
const content = logprobs.choices[0].logprobs.content;
assert.equal(content.length, logprobs.usage.completion_tokens);
for (const token of content) {
  assert(token.logprob <= 0);
  assert.equal(token.top_logprobs.length, 3);
  assert(token.top_logprobs[0].logprob >= token.top_logprobs[1].logprob);
}

// Errors are the client's own kinds.
await assert.rejects(client.chat.completions.create({ ...asked, model: 'nobody' }), OpenAI.NotFoundError);
await assert.rejects(client.chat.completions.create({ ...asked, temperature: -1 }), (error) => {
  assert(error instanceof OpenAI.BadRequestError);
  assert.equal(error.param, 'temperature');
  return true;
});

// A client that turns away in the midst of a stream.
const controller = new AbortController();
const left = await client.chat.completions.create({ ...asked, stream: true }, { signal: controller.signal });
for await (const chunk of left) {
  assert.equal(chunk.object, 'chat.completion.chunk');
  controller.abort();
  break;
}

console.log('openai: all as the client expects');
