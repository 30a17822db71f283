/*
 * speech: voice input and reading aloud with the browser's own functions, where it has them.
 */
import { language, t } from '../i18n.js';

/** Wire the microphone button; it stays hidden where the browser cannot listen. `on.text(words)`, `on.problem(text)`. */
export function startVoiceInput(button, on) {
  const Recognition = window.SpeechRecognition ?? window.webkitSpeechRecognition;
  if (!Recognition) return;
  button.hidden = false;
  let running = null;

  function end() {
    running = null;
    button.setAttribute('aria-pressed', 'false');
  }

  button.addEventListener('click', () => {
    if (running) {
      running.stop();
      return;
    }
    running = new Recognition();
    running.lang = language();
    running.interimResults = false;
    running.onresult = (event) => {
      for (let i = event.resultIndex; i < event.results.length; i += 1)
        if (event.results[i].isFinal) on.text(event.results[i][0].transcript.trim());
    };
    running.onerror = (event) => {
      if (event.error !== 'aborted' && event.error !== 'no-speech') on.problem(t('voice_failed'));
    };
    running.onend = end;
    try {
      running.start();
      button.setAttribute('aria-pressed', 'true');
    } catch {
      end();
    }
  });
}

/** The function that reads an answer aloud, or null where the browser cannot speak. A second click ends it. */
export function createReader() {
  const synthesis = window.speechSynthesis;
  if (!synthesis || !window.SpeechSynthesisUtterance) return null;
  let button = null;

  function quiet() {
    synthesis.cancel();
    button?.setAttribute('aria-pressed', 'false');
    button = null;
  }
  window.addEventListener('pagehide', quiet);

  function readAloud(text, pressed) {
    const again = pressed === button;
    quiet();
    if (again) return;
    button = pressed;
    pressed.setAttribute('aria-pressed', 'true');
    const words = new SpeechSynthesisUtterance(text);
    words.lang = language();
    words.onend = () => pressed === button && quiet();
    words.onerror = words.onend;
    synthesis.speak(words);
  }
  /** What is read leaves the screen, and the button with it. */
  readAloud.end = () => button && quiet();
  return readAloud;
}
