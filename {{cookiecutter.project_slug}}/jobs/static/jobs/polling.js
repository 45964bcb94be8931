// A button that a poll replaces between press and release is not clicked. So what comes while something is pressed is
// dropped; the next poll brings it again.
let pressed = false;
addEventListener("pointerdown", (event) => { pressed = event.button === 0; });
addEventListener("keydown", () => { pressed = true; });
for (const end of ["pointerup", "pointercancel", "keyup", "blur"]) {
  addEventListener(end, () => { pressed = false; });
}
addEventListener("htmx:beforeSwap", (event) => { event.detail.shouldSwap &&= !pressed; });
