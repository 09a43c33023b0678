// Pictures that are drawn, and pictures that are changed.

const dataUrl = base64 => "data:image/png;base64," + base64;
const kTiny = 128;  // pixels: smaller pictures are enlarged with their pixels to be seen

const drawing = {
  view: byId("drawing"),

  show() {
    const ofText = model.task === "text-to-image";
    byId("prompt").placeholder = ofText ? "a dark coat" : "a class, or nothing";
    byId("prompt").required = ofText;
    byId("pictures").replaceChildren();
    sayIn(this.view, "");
    showError(this.view, "");
  },

  go() {
    const prompt = byId("prompt").value, seed = byId("picture-seed").value;
    return run(this.view, async signal => {
      const began = performance.now();
      const body = {model: model.id, prompt, n: Number(byId("count").value), response_format: "b64_json"};
      if (seed !== "") body.seed = Number(seed);
      const answer = await (await ask("/v1/images/generations", body, signal)).json();
      byId("pictures").replaceChildren();
      answer.data.forEach(({b64_json, revised_prompt}, i) => this.add(dataUrl(b64_json), revised_prompt ?? prompt, i + 1));
      const drawn = `${plural(answer.data.length, "picture")} in ${seconds(performance.now() - began)}`;
      return answer.seed === undefined ? drawn + "." : `${drawn}, seed ${answer.seed}.`;
    });
  },

  add(url, shown, number) {
    const figure = add(byId("pictures"), "figure");
    const picture = add(figure, "img");
    const caption = add(figure, "figcaption");
    add(caption, "span", shown || number);
    picture.onload = () => {
      picture.classList.toggle("tiny", picture.naturalWidth < kTiny);
      picture.title = `${picture.naturalWidth} × ${picture.naturalHeight}`;
    };
    picture.alt = `${shown || "picture"}, number ${number}`;
    picture.src = url;
    const link = add(caption, "a", "Save");
    link.href = url;
    link.download = `${model.id}-${number}.png`;
    link.ariaLabel = "Save " + picture.alt;
  },
};

const transform = {
  view: byId("transform"),
  picture: "",  // as a data URL

  show() {
    byId("compared").hidden = true;
    sayIn(this.view, "");
    showError(this.view, "");
  },

  take(file) {
    if (!file || running) return;
    const reader = new FileReader();
    reader.onload = () => {
      this.picture = reader.result;
      this.view.querySelector(".go").disabled = false;
      byId("compared").hidden = true;
      showError(this.view, "");
      sayIn(this.view, file.name);
    };
    reader.onerror = () => showError(this.view, `${file.name} cannot be read.`);
    reader.readAsDataURL(file);
  },

  go() {
    return run(this.view, async signal => {
      const began = performance.now();
      const image = this.picture.slice(this.picture.indexOf(",") + 1);
      const {data} = await (await ask("/v1/images/edits", {model: model.id, image}, signal)).json();
      const before = byId("before"), after = byId("after");
      before.src = this.picture;
      after.src = byId("save-after").href = dataUrl(data[0].b64_json);
      await Promise.all([before.decode(), after.decode()]);
      const size = picture => `${picture.naturalWidth} × ${picture.naturalHeight}`;
      byId("sizes").textContent = `${size(before)} → ${size(after)}`;
      const {naturalWidth: width, naturalHeight: height} = after;
      byId("compared").style.maxWidth = `min(${Math.max(width, 320)}px, ${Math.round(75 * width / height)}vh)`;
      for (const picture of [before, after]) picture.classList.toggle("tiny", after.naturalWidth < kTiny);
      byId("compared").hidden = false;
      return `Done in ${seconds(performance.now() - began)}.`;
    });
  },
};

onSubmit(drawing.view, () => drawing.go());
onSubmit(transform.view, () => transform.go());
byId("file").onchange = event => transform.take(event.target.files[0]);
byId("cut").oninput = event => byId("after").style.setProperty("--cut", event.target.value + "%");
const drop = byId("drop");
drop.ondragover = event => {
  event.preventDefault();
  drop.classList.add("over");
};
drop.ondragleave = () => drop.classList.remove("over");
drop.ondrop = event => {
  event.preventDefault();
  drop.classList.remove("over");
  transform.take(event.dataTransfer.files[0]);
};
document.addEventListener("paste", event => {
  if (!transform.view.hidden) transform.take([...event.clipboardData.files].find(file => file.type.startsWith("image/")));
});
