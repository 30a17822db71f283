"""A chat backend with Flask, requests and sqlite3, for gunicorn's threads. Configured by DB and PROVIDER."""

import json
import os
import sqlite3
import threading
import time
import uuid

import requests
from flask import Flask, Response, request

app = Flask(__name__)
local = threading.local()


def db():
    if not hasattr(local, "db"):
        local.db = sqlite3.connect(os.environ["DB"], isolation_level=None, timeout=60)
    return local.db


def add(conversation, role, content):
    db().execute(
        "INSERT INTO messages (conversation_id, role, content, created_at) VALUES (?, ?, ?, ?)",
        (conversation, role, content, time.time()),
    )


def past(conversation):
    rows = (
        db()
        .execute(
            "SELECT role, content FROM messages WHERE conversation_id = ? ORDER BY id DESC LIMIT 11", (conversation,)
        )
        .fetchall()
    )
    return [{"role": role, "content": content} for role, content in reversed(rows)]


def frame(data):
    return "data: " + json.dumps(data) + "\n\n"


def answer(conversation):
    yield frame({"content": "", "done": False, "conversation_id": conversation})
    text = ""
    response = requests.post(
        os.environ["PROVIDER"] + "/chat/completions",
        json={"model": "bench", "messages": past(conversation), "stream": True},
        headers={"Authorization": "Bearer sk-bench"},
        stream=True,
        timeout=300,
    )
    for line in response.iter_lines(chunk_size=None):
        if not line.startswith(b"data: ") or line == b"data: [DONE]":
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
def health():
    return {"status": "ok"}


@app.post("/api/chat/stream")
def chat():
    question = request.get_json()
    conversation = question.get("conversation_id") or str(uuid.uuid4())
    add(conversation, "user", question["message"])
    return Response(answer(conversation), mimetype="text/event-stream")
