"""The dialog of commands without a browser: answers that come when it is about something else."""

from __future__ import annotations

import asyncio
import json
import shutil
from importlib.resources import files
from pathlib import Path

import pytest

#: the few things of a browser that the dialog touches; `asked` holds back what the desk answers
STAGE = """
import process from "node:process";
const nodes = new Map();
class Node {
  constructor() { this.dataset = {}; this.textContent = ""; this.value = ""; this.heard = {}; }
  addEventListener(kind, act) { this.heard[kind] = act; }
  setAttribute() {}
  append() {}
  replaceChildren() {}
  showModal() {}
  close() { this.heard.close?.(); }
}
globalThis.document = {
  documentElement: { dataset: {} },
  createElement: () => new Node(),
  getElementById: (id) => {
    if (!nodes.has(id)) nodes.set(id, new Node());
    return nodes.get(id);
  },
};
const asked = [];
globalThis.fetch = (url) => new Promise((answer) => asked.push({ url, answer }));
const { setUpCommands, askCommand } = await import("./commands.js");
const { desk } = await import("./desk.js");
const find = document.getElementById;
desk.status = { mode: "paper" };
setUpCommands(() => {});
find("command-check").hidden = true;

const token = (tokenName) => ({ tokenName, state: "active", realLeverage: "3" });
askCommand(token("A"), process.argv[2]);
find("command-form").heard.submit({ preventDefault() {} });
find("command-dialog").close();
askCommand(token("B"), "halt");
const [{ answer }] = asked;
const plan = { funds: {}, trades: [], orders: [] };
const told = { detail: "no", apply: ["A"], plan, costs: [], accounts: [] };
answer({ ok: process.argv[3] === "ok", status: 409, json: async () => told });
await new Promise((done) => setTimeout(done, 20));
const [said, go] = ["command-answer", "command-go"].map((id) => find(id).textContent);
console.log(JSON.stringify({ said, go }));
"""


@pytest.mark.parametrize(
    ("kind", "answer", "said"),
    [
        ("halt", "ok", "Done: halt of A."),
        ("halt", "no", "Not done: halt of A: no"),
        ("rebalance", "ok", ""),
        ("rebalance", "no", "Not done: rebalance of A: no"),
    ],
)
async def test_an_answer_to_a_command_speaks_of_its_own_fund_whatever_the_dialog_is_about_now(
    tmp_path: Path, kind: str, answer: str, said: str
) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed: apt-get install nodejs")
    for each in files("rebalancer.api").joinpath("page").iterdir():
        if each.name.endswith(".js"):
            (tmp_path / each.name).write_bytes(each.read_bytes())
    (tmp_path / "package.json").write_text('{"type": "module"}')
    (tmp_path / "stage.js").write_text(STAGE)
    ran = await asyncio.create_subprocess_exec(
        node,
        str(tmp_path / "stage.js"),
        kind,
        answer,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, problem = await ran.communicate()
    assert ran.returncode == 0, problem.decode()
    assert json.loads(out) == {"said": said, "go": "Halt B"}
