// OpenAI's interface to pictures through its npm package: node openai_images.mjs BASE_URL. The models fashion and
// fashion-tokens are served.
import OpenAI, { toFile } from 'openai';

const [base] = process.argv.slice(2);
const client = new OpenAI({ baseURL: `${base}/v1`, apiKey: 'none', maxRetries: 0 });

function check(what, holds) {
  if (!holds) throw new Error(`${what}: does not hold`);
  console.log(what);
}
const isPng = (text) => Buffer.from(text, 'base64').subarray(1, 4).toString() === 'PNG';

const bag = await client.images.generate({ model: 'fashion', prompt: 'Bag', size: '32x32', n: 2, seed: 1 });
check('two pictures of a class', bag.data.length === 2 && bag.data.every((one) => isPng(one.b64_json)));
const again = await client.images.generate({ model: 'fashion', prompt: 'Bag', n: 2, seed: 1 });
check('the same bytes for the same seed', again.data[1].b64_json === bag.data[1].b64_json);
const coat = await client.images.generate({ model: 'fashion-tokens', prompt: 'a dark coat' });
check('a picture of a caption', isPng(coat.data[0].b64_json));

const size = await client.images.generate({ model: 'fashion', prompt: 'Bag', size: '1024x1024' }).catch((e) => e);
check('another size is refused', size instanceof OpenAI.BadRequestError && size.param === 'size');
const url = await client.images.generate({ prompt: 'Bag', response_format: 'url' }).catch((e) => e);
check('addresses are refused', url instanceof OpenAI.BadRequestError && url.param === 'response_format');
const image = await toFile(Buffer.from(bag.data[0].b64_json, 'base64'), 'bag.png', { type: 'image/png' });
const edit = await client.images.edit({ model: 'fashion', image, prompt: '' }).catch((e) => e);
check('edits need a model for them', edit instanceof OpenAI.BadRequestError && edit.message.includes('fashion does not'));
const models = await client.models.list();
check('models say their sizes', models.data.every((one) => one.size === undefined || /^\d+x\d+$/.test(one.size)));
