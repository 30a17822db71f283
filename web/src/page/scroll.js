/*
 * scroll: keeps the newest text in sight until the reader scrolls up; then it lets go and offers a button. Also fits the
 * page to what the phone's keyboard leaves of the window.
 */

const NEAR = 60;

/** `area` scrolls, `content` grows in it, `button` goes to the end. */
export function startScroll(area, content, button) {
  let following = true;
  let lastTop = 0;

  const distance = () => area.scrollHeight - area.clientHeight - area.scrollTop;

  function toEnd() {
    following = true;
    area.scrollTop = area.scrollHeight;
    lastTop = area.scrollTop;
    if (!button.hidden) button.hidden = true;
  }

  area.addEventListener('scroll', () => {
    const top = area.scrollTop;
    if (distance() < NEAR) following = true;
    else if (top < lastTop - 2) following = false;
    lastTop = top;
    if (following) button.hidden = true;
  }, { passive: true });

  // Wheel and keys come before the scroll event: without this a growing answer could win against the reader.
  area.addEventListener('wheel', (event) => {
    if (event.deltaY < 0 && area.scrollHeight > area.clientHeight) following = false;
  }, { passive: true });
  area.addEventListener('keydown', (event) => {
    if (['ArrowUp', 'PageUp', 'Home'].includes(event.key)) following = false;
  });

  new ResizeObserver(() => {
    if (following) toEnd();
    else if (distance() > NEAR) button.hidden = false;
  }).observe(content);
  new ResizeObserver(() => {
    if (following) toEnd();
  }).observe(area);
  button.addEventListener('click', () => {
    toEnd();
    area.focus({ preventScroll: true });
  });

  return { toEnd };
}

/** The page is as high as what is visible: phones lay their keyboard over the window without changing it. */
export function fitToViewport() {
  const view = window.visualViewport;
  if (!view) return;
  const root = document.documentElement;
  const fit = () => {
    // Pinch zoom also shrinks the visual viewport; the layout must not follow that.
    if (Math.abs(view.scale - 1) > 0.01) return;
    root.style.setProperty('--view-height', `${view.height}px`);
    root.style.setProperty('--view-top', `${view.offsetTop}px`);
  };
  view.addEventListener('resize', fit);
  view.addEventListener('scroll', fit);
  fit();
}
