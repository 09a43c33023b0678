#include "tools/serve/languages.h"

#include <algorithm>

namespace heed::tools {
namespace {

// ISO 639-1.
constexpr std::string_view kNames =
    "aa=Afar;ab=Abkhazian;ae=Avestan;af=Afrikaans;ak=Akan;am=Amharic;an=Aragonese;ar=Arabic;as=Assamese;av=Avaric;"
    "ay=Aymara;az=Azerbaijani;ba=Bashkir;be=Belarusian;bg=Bulgarian;bi=Bislama;bm=Bambara;bn=Bangla;bo=Tibetan;"
    "br=Breton;bs=Bosnian;ca=Catalan;ce=Chechen;ch=Chamorro;co=Corsican;cr=Cree;cs=Czech;cu=Church Slavic;"
    "cv=Chuvash;cy=Welsh;da=Danish;de=German;dv=Divehi;dz=Dzongkha;ee=Ewe;el=Greek;en=English;eo=Esperanto;"
    "es=Spanish;et=Estonian;eu=Basque;fa=Persian;ff=Fula;fi=Finnish;fj=Fijian;fo=Faroese;fr=French;"
    "fy=Western Frisian;ga=Irish;gd=Scottish Gaelic;gl=Galician;gn=Guarani;gu=Gujarati;gv=Manx;ha=Hausa;he=Hebrew;"
    "hi=Hindi;ho=Hiri Motu;hr=Croatian;ht=Haitian Creole;hu=Hungarian;hy=Armenian;hz=Herero;ia=Interlingua;"
    "id=Indonesian;ie=Interlingue;ig=Igbo;ii=Sichuan Yi;ik=Inupiaq;io=Ido;is=Icelandic;it=Italian;iu=Inuktitut;"
    "ja=Japanese;jv=Javanese;ka=Georgian;kg=Kongo;ki=Kikuyu;kj=Kuanyama;kk=Kazakh;kl=Kalaallisut;km=Khmer;"
    "kn=Kannada;ko=Korean;kr=Kanuri;ks=Kashmiri;ku=Kurdish;kv=Komi;kw=Cornish;ky=Kyrgyz;la=Latin;lb=Luxembourgish;"
    "lg=Ganda;li=Limburgish;ln=Lingala;lo=Lao;lt=Lithuanian;lu=Luba-Katanga;lv=Latvian;mg=Malagasy;mh=Marshallese;"
    "mi=Māori;mk=Macedonian;ml=Malayalam;mn=Mongolian;mr=Marathi;ms=Malay;mt=Maltese;my=Burmese;na=Nauru;"
    "nb=Norwegian Bokmål;nd=North Ndebele;ne=Nepali;ng=Ndonga;nl=Dutch;nn=Norwegian Nynorsk;no=Norwegian;"
    "nr=South Ndebele;nv=Navajo;ny=Nyanja;oc=Occitan;oj=Ojibwa;om=Oromo;or=Odia;os=Ossetic;pa=Punjabi;pi=Pali;"
    "pl=Polish;ps=Pashto;pt=Portuguese;qu=Quechua;rm=Romansh;rn=Rundi;ro=Romanian;ru=Russian;rw=Kinyarwanda;"
    "sa=Sanskrit;sc=Sardinian;sd=Sindhi;se=Northern Sami;sg=Sango;si=Sinhala;sk=Slovak;sl=Slovenian;sm=Samoan;"
    "sn=Shona;so=Somali;sq=Albanian;sr=Serbian;ss=Swati;st=Southern Sotho;su=Sundanese;sv=Swedish;sw=Swahili;"
    "ta=Tamil;te=Telugu;tg=Tajik;th=Thai;ti=Tigrinya;tk=Turkmen;tl=Tagalog;tn=Tswana;to=Tongan;tr=Turkish;ts=Tsonga;"
    "tt=Tatar;tw=Twi;ty=Tahitian;ug=Uyghur;uk=Ukrainian;ur=Urdu;uz=Uzbek;ve=Venda;vi=Vietnamese;vo=Volapük;"
    "wa=Walloon;wo=Wolof;xh=Xhosa;yi=Yiddish;yo=Yoruba;za=Zhuang;zh=Chinese;zu=Zulu;";

std::string_view name_of_code(std::string_view code) {
  if (code.size() != 2 || code.find_first_not_of("abcdefghijklmnopqrstuvwxyz") != code.npos) return {};
  std::size_t at = 0;
  while (kNames.substr(at, 2) != code || kNames[at + 2] != '=') {
    at = kNames.find(';', at) + 1;
    if (at >= kNames.size()) return {};
  }
  return kNames.substr(at + 3, kNames.find(';', at) - at - 3);
}

/// "en" of "en_XX" and "en-GB".
std::string_view main_part(std::string_view code) { return code.substr(0, code.find_first_of("_-")); }

/// The one of these codes that is wanted, or, where there is none, the only one that is a kind of it: "en_XX" for "en".
std::optional<std::string> matching(const std::vector<std::string>& codes, std::string_view wanted) {
  if (std::ranges::find(codes, wanted) != codes.end()) return std::string(wanted);
  const auto is_kind = [&](const std::string& code) { return main_part(code) == wanted; };
  if (std::ranges::count_if(codes, is_kind) != 1) return {};
  return *std::ranges::find_if(codes, is_kind);
}

std::optional<std::string> chosen(const std::vector<std::string>& codes, std::string_view wanted) {
  if (!wanted.empty() && wanted != "auto") return matching(codes, wanted);
  if (codes.size() > 1) return {};
  return codes.empty() ? std::string() : codes.front();
}

}  // namespace

std::string language_name(std::string_view code) {
  const std::string_view name = name_of_code(main_part(code));
  return std::string(name.empty() ? code : name);
}

std::optional<std::pair<std::string, std::string>> languages_of_name(std::string_view name) {
  if (name.size() < 5 || (name.size() > 5 && name[name.size() - 6] != '-')) return {};
  const std::string_view pair = name.substr(name.size() - 5);
  const std::string_view source = pair.substr(0, 2), target = pair.substr(3);
  if (pair[2] != '-' || name_of_code(source).empty() || name_of_code(target).empty()) return {};
  return std::pair(std::string(source), std::string(target));
}

ModelLanguages ModelLanguages::of(const TranslationModel& model, const std::vector<std::string>& names) {
  ModelLanguages languages;
  languages.targets = model.languages();
  languages.says_target = !languages.targets.empty();
  languages.says_source = model.has_source_languages();
  if (languages.says_source) {
    languages.sources = languages.targets;
    return languages;
  }
  for (const std::string& name : names) {
    const auto pair = languages_of_name(name);
    if (!pair) continue;
    languages.sources = {pair->first};
    if (!languages.says_target) languages.targets = {pair->second};
    break;
  }
  return languages;
}

std::optional<std::pair<std::string, std::string>> ModelLanguages::codes_for(std::string_view source,
                                                                             std::string_view target) const {
  auto from = chosen(sources, source);
  auto to = chosen(targets, target);
  if (!from || !to) return {};
  return std::pair(std::move(*from), std::move(*to));
}

}  // namespace heed::tools
