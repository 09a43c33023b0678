// LibreTranslate's interface through two npm packages: node translate.mjs BASE_URL, where node finds libretranslate and
// translate. A model from English to Japanese is served.
import libretranslate from 'libretranslate';
import { Translate } from 'translate';

const [base] = process.argv.slice(2);

const { translate } = libretranslate;
const sentence = 'he plays the guitar .';
const answer = await (await fetch(`${base}/translate`, {
  method: 'POST',
  headers: { 'Content-Type': 'application/json' },
  body: JSON.stringify({ q: sentence, source: 'en', target: 'ja' }),
})).json();

function check(what, got, wanted) {
  if (got !== wanted) throw new Error(`${what}: ${JSON.stringify(got)}, expected ${JSON.stringify(wanted)}`);
  console.log(`${what}: ${got}`);
}

check('libretranslate', await translate({ query: sentence, source: 'en', target: 'ja', apiurl: base }),
  answer.translatedText);
check('libretranslate, auto', await translate({ query: sentence, target: 'ja', apiurl: base }), answer.translatedText);
check('libretranslate, another language',
  await translate({ query: sentence, source: 'fr', target: 'ja', apiurl: base }).catch((error) => error.message),
  'This language was not found/does not exist.');

const engine = Translate({ engine: 'libre', url: `${base}/translate`, from: 'en' });
check('translate', await engine(sentence, 'ja'), answer.translatedText);
const refused = await engine(sentence, 'fr').catch((error) => error.message);
check('translate, another language', refused.startsWith("nothing here translates from 'en' to 'fr'"), true);
