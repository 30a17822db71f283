/*
 * highlight: colours for code, small on purpose. One scanner for all languages, told apart by a few words: comments,
 * strings, numbers, keywords, calls. It may miss a subtlety; it never changes a character. Text may come in pieces: what
 * could still become something else waits for more.
 */
import { createCodeWriter } from '../code.js';

const words = (text) => new Set(text.split(' '));
const C_LIKE = 'break case const continue default do else enum extern for goto if return sizeof static struct switch typedef union void volatile while int char long short float double unsigned signed bool true false NULL';
const JS_LIKE = 'async await break case catch class const continue debugger default delete do else export extends false finally for from function get if import in instanceof let new null of return set static super switch this throw true try typeof undefined var void while yield interface type implements enum private public readonly as';

/* comment: how comments begin ("//", "#", "--", "<!--"); strings: which quotes; words: keywords. */
const FAMILIES = {
  js: { names: 'js javascript ts typescript jsx tsx mjs', comment: ['//', '/*'], strings: '"\'`', words: words(JS_LIKE) },
  c: { names: 'c h cpp c++ cc hpp objc', comment: ['//', '/*'], strings: '"\'', words: words(`${C_LIKE} class namespace template typename using public private protected virtual override new delete nullptr auto try catch throw this constexpr include define ifdef ifndef endif`) },
  java: { names: 'java kotlin kt scala csharp cs swift dart', comment: ['//', '/*'], strings: '"\'', words: words(`${C_LIKE} class interface extends implements package import public private protected final abstract new this super try catch finally throw throws null var val fun func let override when object string String namespace using async await guard self nil`) },
  go: { names: 'go golang', comment: ['//', '/*'], strings: '"\'`', words: words('break case chan const continue default defer else fallthrough for func go goto if import interface map package range return select struct switch type var nil true false string int error bool byte') },
  rust: { names: 'rust rs', comment: ['//', '/*'], strings: '"', words: words('as async await break const continue crate dyn else enum extern false fn for if impl in let loop match mod move mut pub ref return self Self static struct super trait true type unsafe use where while') },
  python: { names: 'python py python3', comment: ['#'], strings: '"\'', triple: true, words: words('and as assert async await break class continue def del elif else except False finally for from global if import in is lambda None nonlocal not or pass raise return True try while with yield match case self') },
  ruby: { names: 'ruby rb perl pl elixir ex', comment: ['#'], strings: '"\'', words: words('alias and begin break case class def do else elsif end ensure false for if in module next nil not or redo rescue retry return self super then true undef unless until when while yield require sub my our use') },
  php: { names: 'php', comment: ['//', '#', '/*'], strings: '"\'', words: words(`${C_LIKE} function class public private protected new echo foreach as extends implements namespace use try catch throw null array fn match require include`) },
  shell: { names: 'bash sh shell zsh console dockerfile docker makefile make nginx apache conf ini toml properties env', comment: ['#'], strings: '"\'', words: words('if then else elif fi for while do done case esac function in return export local echo cd sudo set source exit FROM RUN COPY CMD ENV true false') },
  sql: { names: 'sql sqlite postgres postgresql mysql', comment: ['--', '/*'], strings: '\'"', fold: true, words: words('select from where insert into values update set delete create table index view drop alter add column primary key foreign references not null default unique join left right inner outer on group by order having limit offset as and or in is like between union all distinct case when then else end begin commit rollback with exists count sum avg min max pragma') },
  json: { names: 'json json5 jsonc', comment: ['//'], strings: '"', words: words('true false null') },
  yaml: { names: 'yaml yml', comment: ['#'], strings: '"\'', words: words('true false null yes no on off') },
  css: { names: 'css scss less', comment: ['/*'], strings: '"\'', words: words('important media import supports keyframes from to var calc none auto inherit initial unset') },
  html: { names: 'html xml svg vue markup', comment: ['<!--'], strings: '"\'', tags: true, words: new Set() },
  diff: { names: 'diff patch', lines: true },
};

const BY_NAME = new Map();
for (const family of Object.values(FAMILIES)) for (const name of family.names.split(' ')) BY_NAME.set(name, family);

const END_OF = { '/*': '*/', '<!--': '-->' };
const MAX_CHARS = 60_000;
const LOOK_AHEAD = 4;
const escapeSign = (text) => text.replace(/[.*+?^${}()|[\]\\/]/g, '\\$&');

function scanner(family) {
  if (family.scan) return family.scan;
  const comments = family.comment.map((start) =>
    END_OF[start] ? `${escapeSign(start)}[\\s\\S]*?(?:${escapeSign(END_OF[start])}|$)` : `${escapeSign(start)}[^\\n]*`);
  const strings = [...family.strings].map((quote) =>
    quote === '`' ? '`(?:\\\\[\\s\\S]|[^`\\\\])*`?' : `${quote}(?:\\\\[\\s\\S]|[^${quote}\\\\\\n])*${quote}?`);
  if (family.triple) strings.unshift('"""[\\s\\S]*?(?:"""|$)', "'''[\\s\\S]*?(?:'''|$)");
  const word = family.tags ? '</?[A-Za-z][\\w:-]*|/?>' : '[A-Za-z_$][\\w$]*';
  family.scan = new RegExp(`(${comments.join('|')})|(${strings.join('|')})|(\\b\\d[\\w.]*)|(${word})`, 'g');
  return family.scan;
}

function kindOf(match, family, code, end) {
  if (match[1] !== undefined) return 'comment';
  if (match[2] !== undefined) return /^\s*:/.test(code.slice(end, end + 4)) && family === FAMILIES.json ? 'name' : 'string';
  if (match[3] !== undefined) return 'number';
  if (family.tags) return 'keyword';
  if (family.words.has(family.fold ? match[4].toLowerCase() : match[4])) return 'keyword';
  return code[end] === '(' ? 'name' : null;
}

/** Whole lines of a comparison; a line that is still growing waits. */
function paintLines(text, isEnd) {
  const lines = text.match(/[^\n]*\n|[^\n]+/g) ?? [];
  const rest = isEnd || text.endsWith('\n') ? '' : lines.pop() ?? '';
  return { pieces: lines.map((line) => [line, { '+': 'added', '-': 'removed', '@': 'name' }[line[0]] ?? null]), rest };
}

/** What ends at least LOOK_AHEAD characters before the end of the text, and plain lines, will not change any more. */
function paintWords(family, text, isEnd) {
  const scan = scanner(family);
  const until = isEnd ? text.length : text.length - LOOK_AHEAD;
  const pieces = [];
  let from = 0;
  scan.lastIndex = 0;
  let match = scan.exec(text);
  for (; match && scan.lastIndex <= until; match = scan.exec(text)) {
    if (match.index > from) pieces.push([text.slice(from, match.index), null]);
    pieces.push([match[0], kindOf(match, family, text, scan.lastIndex)]);
    from = scan.lastIndex;
  }
  const plain = text.slice(from, isEnd ? text.length : Math.min(match?.index ?? until, until));
  const end = isEnd ? plain.length : plain.lastIndexOf('\n') + 1;
  if (end > 0) pieces.push([plain.slice(0, end), null]);
  return { pieces, rest: text.slice(from + Math.max(0, end)) };
}

/** Colours for code that grows, as createCodeWriter wants them. Unknown languages and very long code stay plain. */
export function createPainter(name) {
  const family = BY_NAME.get(String(name).toLowerCase());
  if (!family) return undefined;
  let total = 0;
  return (text, isEnd) => {
    const painted = total > MAX_CHARS ? { pieces: [[text, null]], rest: '' } : family.lines ? paintLines(text, isEnd) : paintWords(family, text, isEnd);
    total += text.length - painted.rest.length;
    return painted;
  };
}

/** Colour the text of a <code> element in place. */
export function highlight(node, name) {
  const text = node.textContent;
  node.textContent = '';
  const writer = createCodeWriter(node, createPainter(name));
  writer.add(text);
  writer.end();
}
