"""A chat backend with FastAPI, httpx and sqlite3. Configured by DB and PROVIDER."""

import json
import os
import sqlite3
import time
import uuid
from typing import Optional

import httpx
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

db = sqlite3.connect(os.environ["DB"], check_same_thread=False, isolation_level=None, timeout=30)
client = httpx.AsyncClient(timeout=300, limits=httpx.Limits(max_connections=None, max_keepalive_connections=256))
app = FastAPI()


class Question(BaseModel):
    message: str
    conversation_id: Optional[str] = None


def add(conversation, role, content):
    db.execute(
        "INSERT INTO messages (conversation_id, role, content, created_at) VALUES (?, ?, ?, ?)",
        (conversation, role, content, time.time()),
    )


def past(conversation):
    rows = db.execute(
        "SELECT role, content FROM messages WHERE conversation_id = ? ORDER BY id DESC LIMIT 11", (conversation,)
    ).fetchall()
    return [{"role": role, "content": content} for role, content in reversed(rows)]


def frame(data):
    return "data: " + json.dumps(data) + "\n\n"


async def answer(conversation):
    yield frame({"content": "", "done": False, "conversation_id": conversation})
    text = ""
    body = {"model": "bench", "messages": past(conversation), "stream": True}
    headers = {"Authorization": "Bearer sk-bench"}
    url = os.environ["PROVIDER"] + "/chat/completions"
    async with client.stream("POST", url, json=body, headers=headers) as response:
        async for line in response.aiter_lines():
            line = line.strip()
            if not line.startswith("data: ") or line == "data: [DONE]":
                continue
            choices = json.loads(line[6:])["choices"]
            content = choices[0]["delta"].get("content") if choices else None
            if content:
                text += content
                yield frame({"content": content, "done": False})
    add(conversation, "assistant", text)
    yield frame({"content": "", "done": True})
    yield "data: [DONE]\n\n"


@app.get("/api/health")
async def health():
    return {"status": "ok"}


@app.post("/api/chat/stream")
async def chat(question: Question):
    conversation = question.conversation_id or str(uuid.uuid4())
    add(conversation, "user", question.message)
    return StreamingResponse(answer(conversation), media_type="text/event-stream")
