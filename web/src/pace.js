/*
 * pace: how much of an answer is built at once. What takes longer than its share of a frame is cut into smaller pieces;
 * what is costly however small the piece, is done less often.
 */

const BUILD_MS = 5; // for building, in a task of its own,
const DRAW_MS = 9; // and for layout and painting: more than that, and the next frame is left free
const FULL_MS = 13; // is nearly a whole frame:
const MOST_REST = 8; // frames left free then
const LEAST = 24; // characters at once
const MOST = 2000;
const TURNS = 10; // after which all that waits shall be on the screen, whatever it costs

export function createPace() {
  let share = 160; // characters
  let rest = 0; // frames to leave free
  let took = 0;

  return {
    /** `drawing`: what the last frame took. How many of the `waiting` characters to build now; 0: let a frame pass. */
    next(drawing, waiting) {
      if (took) {
        const fits = took < BUILD_MS && drawing < DRAW_MS;
        share = Math.max(LEAST, Math.min(MOST, share * (fits ? 1.25 : 0.8)));
        rest = drawing < DRAW_MS ? 0 : drawing < FULL_MS ? Math.ceil((drawing - DRAW_MS) / 2) : MOST_REST;
        took = 0;
      }
      if (rest > 0 && waiting) {
        rest -= 1;
        return 0;
      }
      return Math.min(waiting, Math.ceil(Math.max(share, waiting / TURNS)));
    },
    built(ms) {
      took = Math.max(ms, 0.01);
    },
    /** What can be shown in one go without being noticed. */
    most: () => share,
  };
}
