/*
 * early: sets the theme before the first paint, so that a dark page never flashes white. Runs as a classic script in the
 * head; theme.js takes over from there.
 */
(() => {
  let chosen = null;
  try {
    chosen = localStorage.getItem('parley.theme');
  } catch {
    // storage forbidden: the system decides
  }
  const dark = chosen ? chosen === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
  document.documentElement.dataset.theme = dark ? 'dark' : 'light';
  document.documentElement.classList.add('js');
})();
