// The browser does not count a click on a button that a poll replaces between press and release. So drop the answer to a
// poll while something is pressed. The next poll brings the same news again.
let pressed = false;
addEventListener("pointerdown", (event) => { pressed = event.button === 0; });
addEventListener("keydown", () => { pressed = true; });
for (const end of ["pointerup", "pointercancel", "keyup", "blur"]) {
  addEventListener(end, () => { pressed = false; });
}
addEventListener("htmx:beforeSwap", (event) => { event.detail.shouldSwap &&= !pressed; });
