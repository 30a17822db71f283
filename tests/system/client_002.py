#!/usr/bin/env python3
"""The Python client of source document 002, with the standard library in the place of requests.

usage: client_002.py URL USER_ID; prints the JSON of a simple chat, then the text of a streamed one.
"""
import json
import sys
import urllib.request


def post(url, body):
    """POST a JSON body; the response is read by the caller, line by line if wanted."""
    request = urllib.request.Request(
        url, data=json.dumps(body).encode("utf-8"), headers={"Content-Type": "application/json"}, method="POST"
    )
    return urllib.request.urlopen(request, timeout=15)


def main():
    base, user_id = sys.argv[1], sys.argv[2]

    # Simple chat
    with post(base + "/api/chat/simple", {"user_id": user_id, "message": "Hello, how are you? mock:"}) as response:
        print(json.dumps(json.load(response)))

    # Streaming chat
    with post(base + "/api/chat", {"user_id": user_id, "message": "Tell me a story, please mock:deltas=20"}) as response:
        for line in response:
            line = line.decode("utf-8").rstrip("\n")
            if line.startswith("data: "):
                data = line[6:]  # Remove 'data: ' prefix
                if data == "[DONE]":
                    break
                try:
                    chunk = json.loads(data)
                    print(chunk["content"], end="", flush=True)
                except json.JSONDecodeError:
                    pass
    print()


if __name__ == "__main__":
    main()
