// A chat backend with Express, the openai package and better-sqlite3. Configured by PORT, DB, PROVIDER.
import express from 'express';
import Database from 'better-sqlite3';
import OpenAI from 'openai';
import { randomUUID } from 'node:crypto';

const db = new Database(process.env.DB);
const add = db.prepare('INSERT INTO messages (conversation_id, role, content, created_at) VALUES (?, ?, ?, ?)');
const past = db.prepare('SELECT role, content FROM messages WHERE conversation_id = ? ORDER BY id DESC LIMIT 11');
const openai = new OpenAI({ apiKey: 'sk-bench', baseURL: process.env.PROVIDER });
const app = express();
app.use(express.json());

app.get('/api/health', (request, response) => response.json({ status: 'ok' }));

app.post('/api/chat/stream', async (request, response) => {
  const { message } = request.body;
  const id = request.body.conversation_id ?? randomUUID();
  if (typeof message !== 'string' || message === '') return response.status(400).json({ error: 'message is required' });
  add.run(id, 'user', message, Date.now());
  response.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-cache' });
  const frame = (data) => response.write(`data: ${JSON.stringify(data)}\n\n`);
  frame({ content: '', done: false, conversation_id: id });
  let text = '';
  try {
    const stream = await openai.chat.completions.create({ model: 'bench', messages: past.all(id).reverse(), stream: true });
    for await (const chunk of stream) {
      const content = chunk.choices[0]?.delta?.content;
      if (!content) continue;
      text += content;
      frame({ content, done: false });
    }
    add.run(id, 'assistant', text, Date.now());
    frame({ content: '', done: true });
    response.write('data: [DONE]\n\n');
  } catch (error) {
    frame({ error: error.message, done: true });
  }
  response.end();
});

app.listen(Number(process.env.PORT), '127.0.0.1', 4096);
