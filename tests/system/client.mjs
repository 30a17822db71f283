/*
 * client: the HTTP client of the system tests. One connection per request; streams are parsed frame by frame
 * with the time at which each frame came.
 *
 *   request(url, {method, headers, json | body, chunked, timeout}) -> {status, headers, body, text, json}
 *   openStream(url, {method, headers, json, timeout})              -> Stream, as soon as the head is there
 */
import { EventEmitter } from 'node:events';
import http from 'node:http';

function open(url, { method = 'GET', headers = {}, json, body, chunked = false } = {}, onResponse, onError) {
  const data = json === undefined ? body : JSON.stringify(json);
  const all = { ...(json !== undefined && { 'Content-Type': 'application/json' }), ...headers };
  if (data !== undefined && !chunked) all['Content-Length'] ??= Buffer.byteLength(data);
  const req = http.request(url, { method, agent: false, headers: all }, onResponse);
  req.on('error', onError);
  if (data !== undefined && chunked) {
    const bytes = Buffer.from(data);
    for (let at = 0; at < bytes.length; at += 16384) req.write(bytes.subarray(at, at + 16384));
  } else if (data !== undefined) {
    req.write(data);
  }
  req.end();
  return req;
}

function tryJson(text) {
  try { return JSON.parse(text); } catch { return undefined; }
}

export function request(url, options = {}) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => req.destroy(new Error(`no reply from ${url} in time`)), options.timeout ?? 20000);
    const fail = (error) => { clearTimeout(timer); reject(error); };
    const req = open(url, options, (res) => {
      const parts = [];
      res.on('data', (part) => parts.push(part));
      res.on('error', fail);
      res.on('end', () => {
        clearTimeout(timer);
        const body = Buffer.concat(parts);
        const text = body.toString();
        resolve({ status: res.statusCode, headers: res.headers, body, text, json: tryJson(text) });
      });
    }, fail);
  });
}

function parseFrame(block, at) {
  const frame = { raw: block, at };
  for (const line of block.split('\n')) {
    const [, name, value] = /^([^:]*):? ?(.*)$/s.exec(line);
    if (name === '') frame.comment = value;
    else frame[name] = name === 'data' && frame.data !== undefined ? `${frame.data}\n${value}` : value;
  }
  frame.json = frame.data === undefined ? undefined : tryJson(frame.data);
  return frame;
}

/* A reply that is read while it comes. */
class Stream extends EventEmitter {
  constructor(req, res) {
    super();
    this.setMaxListeners(0);
    this.req = req;
    this.status = res.statusCode;
    this.headers = res.headers;
    this.headAt = process.hrtime.bigint();
    this.raw = '';
    this.frames = [];   /* with data */
    this.comments = []; /* pings */
    this.closed = null; /* 'end': whole, 'cut': broken off */
    let rest = '';
    res.setEncoding('utf8');
    res.on('data', (text) => {
      const at = process.hrtime.bigint();
      this.raw += text;
      const blocks = (rest + text).split('\n\n');
      rest = blocks.pop();
      blocks.forEach((block) => this.#frame(parseFrame(block, at)));
      this.emit('more');
    });
    this.ended = new Promise((resolve) => {
      const finish = (how) => { this.closed ??= how; this.endAt ??= process.hrtime.bigint(); this.emit('more'); resolve(this); };
      res.on('end', () => finish('end'));
      res.on('error', () => finish('cut'));
      res.on('close', () => finish(res.complete ? 'end' : 'cut'));
    });
  }
  #frame(frame) { (frame.data === undefined ? this.comments : this.frames).push(frame); }

  /* The text of the deltas. */
  get text() { return this.frames.map((frame) => frame.json?.content ?? '').join(''); }
  /* Frames that carry text. */
  get deltas() { return this.frames.filter((frame) => frame.json?.content); }
  get first() { return this.frames[0]?.json; }
  /* The frame with done:true. */
  get last() { return this.frames.find((frame) => frame.json?.done)?.json; }
  get json() { return tryJson(this.raw); }

  /* Resolves when `check(stream)` is true; rejects when the stream ends before or `ms` are over. */
  until(check, ms = 10000) {
    return new Promise((resolve, reject) => {
      const look = () => {
        if (check(this)) return stop(resolve, this);
        return this.closed && stop(reject, new Error(`the stream ended (${this.closed}) before:\n${this.raw}`));
      };
      const timer = setTimeout(() => stop(reject, new Error(`not within ${ms} ms:\n${this.raw}`)), ms);
      const stop = (settle, value) => { clearTimeout(timer); this.off('more', look); settle(value); };
      this.on('more', look);
      look();
    });
  }
  /* Hang up. */
  abort() { this.req.destroy(); }
}

export function openStream(url, options = {}) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => req.destroy(new Error(`no reply from ${url} in time`)), options.timeout ?? 20000);
    const req = open(url, options, (res) => { clearTimeout(timer); resolve(new Stream(req, res)); },
      (error) => { clearTimeout(timer); reject(error); });
  });
}
