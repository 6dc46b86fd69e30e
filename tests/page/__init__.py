"""The dashboard in a real browser: Debian's Chromium, driven by Playwright from a lock of its own.

Playwright is never imported here: `driver` is run by the interpreter of that environment and obeys
lines of JSON.
"""
