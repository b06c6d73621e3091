"use strict";

// Shows the jobs of this server, live. All texts from elsewhere become text nodes, never markup.
// The token stays in sessionStorage: it is gone when the tab is closed, and no cookie carries it.

const LIST_MS = 5000;
const MOST_STREAMS = 4; // browsers open six connections to a server
const RETRY_MS = 3000;
const FAULTS = 100;
const SPEED_SECONDS = 10;
const LEFT_SECONDS = 60;
const ENOUGH_SECONDS = 5; // to be watched before there is a time that is left
const ENDED = new Set(["finished", "aborted"]);
const TOKEN = "casync-token";

const jobs = new Map(); // id -> {item, node, stream, rate}
let timer = 0;
let turn = 0; // of refresh: only the newest goes on

class Refused extends Error {
  constructor(status, problem) {
    super(problem.detail || `the server answered ${status}`);
    this.status = status;
    this.step = problem.next_step || "";
  }
}

async function ask(path, options = {}) {
  const headers = {};
  const token = sessionStorage.getItem(TOKEN);
  if (token) headers.Authorization = `Bearer ${token}`;
  // Relative, since a server may be mounted below a path prefix.
  const answer = await fetch(`v1/jobs${path}`, { ...options, headers, cache: "no-store" });
  if (answer.ok) return answer;
  throw new Refused(answer.status, await answer.json().catch(() => ({})));
}

// -- Text -------------------------------------------------------------------------------------

// Invisible characters and those that turn the direction of writing are shown as what they are.
function shown(text) {
  return String(text).replace(
    /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Zl}\p{Zp}]/gu,
    (one) => `\\u{${one.codePointAt(0).toString(16)}}`,
  );
}

function size(bytes) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
  let unit = 0;
  while (bytes >= (unit ? 999.5 : 1024) && unit < units.length - 1) { // 1000 would be 1.00e+3
    bytes /= 1024;
    unit += 1;
  }
  return unit ? `${bytes.toPrecision(3)} ${units[unit]}` : `${bytes} B`;
}

function duration(seconds) {
  const s = Math.max(0, Math.round(seconds));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  return `${Math.floor(s / 86400)} d ${Math.floor((s % 86400) / 3600)} h`;
}

function count(number, noun) {
  return `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;
}

function moment(seconds) {
  return new Date(seconds * 1000).toLocaleString();
}

// -- Nodes ------------------------------------------------------------------------------------

function make(tag, kind, ...children) {
  const node = document.createElement(tag);
  if (kind) node.className = kind;
  node.append(...children);
  return node;
}

function bar(done, total, label) {
  const node = make("progress");
  node.setAttribute("aria-label", label);
  if (total > 0) {
    node.max = total;
    node.value = Math.min(done, total);
  } else if (total === 0) {
    node.max = node.value = 1;
  }
  return node;
}

function button(text, action) {
  const node = make("button", "", text);
  node.type = "button";
  node.addEventListener("click", async () => {
    node.disabled = true;
    try {
      await action();
    } catch (error) {
      fail(error);
    }
    node.disabled = false;
  });
  return node;
}

function stateOf(item) {
  if (item.state === "finished") {
    const kind = item.outcome === "clean" ? "good" : "bad";
    const texts = { clean: "Finished", partial: "Finished with errors", failed: "Failed" };
    return make("span", `state ${kind}`, texts[item.outcome] || "Finished");
  }
  const texts = { queued: "Queued", running: "Running", interrupted: "Interrupted" };
  const kind = item.state === "aborted" ? "bad" : "soft";
  return make("span", `state ${kind}`, texts[item.state] || "Aborted");
}

function figures(job) {
  const { item, rate } = job;
  const node = make("div", "figures");
  const add = (text, kind) => node.append(make("span", kind || "", text));
  const here = item.finished_cnt.toLocaleString("en");
  if (item.total < 0) add(`${count(item.scheduled_cnt, "object")} listed`);
  else add(`${here} of ${count(item.total, "object")}`);
  add(size(item.bytes + item.current_tasks.reduce((sum, task) => sum + task.downloaded, 0)));
  if (item.skipped_cnt) add(`${item.skipped_cnt.toLocaleString("en")} unchanged`);
  if (item.removed_cnt) add(count(item.removed_cnt, "name") + " removed");
  if (item.error_cnt) add(count(item.error_cnt, "error"), "bad");
  if (item.state === "running" && rate.bytes.units) {
    add(`${size(Math.round(rate.bytes.units / rate.bytes.seconds))}/s`);
    const left = leftOf(job);
    if (left !== null) add(`${duration(left)} left`);
  }
  if (ENDED.has(item.state) && item.started_time && item.finished_time) {
    add(`took ${duration(item.finished_time - item.started_time)}`, "soft");
  }
  if (item.finished_time) add(`ended ${moment(item.finished_time)}`, "soft");
  else if (item.started_time) add(`started ${moment(item.started_time)}`, "soft");
  else add(`created ${moment(item.created_time)}`, "soft");
  return node;
}

function tasks(item) {
  const list = make("ul", "tasks");
  for (const task of item.current_tasks.slice(0, 16)) {
    const of = task.total === null ? "?" : size(task.total);
    list.append(
      make(
        "li",
        "",
        make("bdi", "path", shown(task.name)), // whole: names may differ anywhere
        bar(task.downloaded, task.total === null ? -1 : task.total, shown(task.name)),
        make("span", "soft amount", `${size(task.downloaded)} of ${of}`),
      ),
    );
  }
  return list;
}

function isDue(each) {
  return each.next_time * 1000 <= Date.now();
}

function waiting(item) {
  const node = make("details", "", make("summary", "soft", `${item.waiting_cnt} waiting`));
  const list = make("ul", "faults");
  for (const each of item.waiting) {
    const name = each.name ? make("bdi", "path", shown(each.name)) : "The listing";
    const at = new Date(each.next_time * 1000).toLocaleTimeString();
    const when = isDue(each) ? "again now" : `again at ${at}`;
    list.append(make("li", "", name, make("div", "soft", `${when}: ${shown(each.reason)}`)));
  }
  node.append(list);
  return node;
}

function errorsOf(job) {
  const list = make("ul", "faults");
  const more = button("More", () => load());
  const node = make("details", "errors", make("summary", "bad", ""), list, more);
  let after = -1;
  more.hidden = true;
  async function load() {
    const answer = await ask(`/${job.item.id}/errors?after=${after}&limit=${FAULTS}`);
    const page = await answer.json();
    for (const fault of page.errors) {
      after = fault.index;
      const tries = fault.attempts > 1 ? ` (${count(fault.attempts, "attempt")})` : "";
      list.append(
        make(
          "li",
          "",
          make("bdi", "path", shown(fault.name || fault.url)),
          make("div", "soft", `${shown(fault.kind)}: ${shown(fault.error)}${tries}`),
        ),
      );
    }
    more.hidden = !page.more;
  }
  node.addEventListener("toggle", () => {
    if (node.open) {
      list.replaceChildren();
      after = -1;
      load().catch(fail);
    }
  });
  return node;
}

function actions(job) {
  const { id, state } = job.item;
  const node = make("div", "actions");
  const send = (path, method) => async () => {
    await ask(`/${id}${path}`, { method });
    await refresh();
  };
  if (!ENDED.has(state)) node.append(button("Stop", send("/stop", "POST")));
  if (state === "aborted") node.append(button("Continue", send("/start", "POST")));
  if (ENDED.has(state)) {
    const remove = send("", "DELETE");
    node.append(
      button("Remove", () =>
        confirm(`Remove job ${id} from the list? What it fetched stays.`) ? remove() : null,
      ),
    );
  }
  node.append(make("code", "soft", id));
  return node;
}

function draw(job) {
  const { item, node } = job;
  const dest = item.request.destination || "/";
  const usual = `${item.request.source} -> ${dest}`; // what a job without a description has
  const named = item.description && item.description !== usual;
  const title = named ? item.description : item.request.source;
  const head = make("header", "", make("h3", "", make("bdi", "", shown(title))), stateOf(item));
  const from = named ? shown(item.request.source) : "";
  const route = make("p", "route", from, " → ", shown(dest));
  const parts = [head, route];
  if (!ENDED.has(item.state)) {
    parts.push(bar(doneOf(item), item.total, "progress of the job"));
  }
  parts.push(figures(job));
  if (item.state === "running") parts.push(tasks(item));
  if (item.state === "running" && item.waiting_cnt) {
    const wait = waiting(item);
    wait.open = node.querySelector("details.waiting")?.open ?? true;
    wait.className = "waiting";
    parts.push(wait);
  }
  if (item.failure) parts.push(make("p", "bad", shown(item.failure)));
  job.errors.hidden = !item.error_cnt;
  job.errors.firstChild.textContent = count(item.error_cnt, "error");
  // The list of errors stays open while the rest is drawn again, and so does the focus.
  const busy = document.activeElement;
  const kept = node.contains(busy) && busy.tagName === "BUTTON" ? busy.textContent : "";
  node.replaceChildren(...parts, job.errors, actions(job));
  const again = [...node.querySelectorAll("button")].find((one) => kept && one.textContent === kept);
  if (again && !job.errors.contains(again)) again.focus();
}

// -- Jobs -------------------------------------------------------------------------------------

function update(item) {
  let job = jobs.get(item.id);
  if (!job) {
    job = { item, node: make("article"), stream: null, rate: null, drawn: "" };
    job.errors = errorsOf(job);
    jobs.set(item.id, job);
  }
  job.rate = rateOf(job, item);
  job.item = item;
  const text = JSON.stringify([item, item.waiting.filter(isDue).length]);
  if (text !== job.drawn) {
    job.drawn = text;
    draw(job);
  }
  return job;
}

// Rates are averages that forget: what lies back a time constant counts for 1/e of what is new.
function rateOf(job, item) {
  const now = performance.now() / 1000;
  const done = doneOf(item);
  const old = job.rate;
  if (!old || item.fetched_bytes < old.fetched) {
    const none = { units: 0, seconds: 0 };
    return { since: now, time: now, fetched: item.fetched_bytes, done, bytes: none, objects: none };
  }
  const passed = now - old.time;
  if (passed < 0.4) return old;
  const after = (rate, constant, units) => {
    const kept = Math.exp(-passed / constant);
    return { units: rate.units * kept + Math.max(units, 0), seconds: rate.seconds * kept + passed };
  };
  return {
    since: old.since,
    time: now,
    fetched: item.fetched_bytes,
    done,
    bytes: after(old.bytes, SPEED_SECONDS, item.fetched_bytes - old.fetched),
    objects: after(old.objects, LEFT_SECONDS, done - old.done),
  };
}

// The objects that are done, and the parts that are here of others.
function doneOf(item) {
  const shares = item.current_tasks.map((task) => (task.total ? task.downloaded / task.total : 0));
  const parts = shares.reduce((sum, share) => sum + Math.min(share, 1), 0);
  return item.finished_cnt + item.error_cnt + parts;
}

// Seconds until all objects are done; null until enough was seen: a commit settles many at once.
function leftOf(job) {
  const { item, rate } = job;
  const { units, seconds } = rate.objects;
  const left = item.total - doneOf(item);
  if (item.total < 0 || left <= 0 || !units || rate.time - rate.since < ENOUGH_SECONDS) return null;
  return (left * seconds) / units;
}

function place() {
  const all = [...jobs.values()].sort(
    (a, b) => b.item.created_time - a.item.created_time || (a.item.id < b.item.id ? 1 : -1),
  );
  const lists = { current: [], past: [] };
  for (const job of all) lists[ENDED.has(job.item.state) ? "past" : "current"].push(job.node);
  for (const [id, nodes] of Object.entries(lists)) {
    const home = document.getElementById(id);
    const same = nodes.length === home.children.length;
    if (!same || nodes.some((node, at) => home.children[at] !== node)) home.replaceChildren(...nodes);
    document.getElementById(`no-${id}`).hidden = nodes.length > 0;
  }
}

async function refresh() {
  const own = ++turn;
  clearTimeout(timer);
  try {
    const seen = new Set();
    let after = "";
    for (;;) {
      const page = await (await ask(`?after=${after}`)).json();
      for (const item of page.jobs) {
        seen.add(item.id);
        update(item);
        after = item.id;
      }
      if (!page.more) break;
    }
    if (own !== turn) return;
    for (const id of [...jobs.keys()]) {
      if (!seen.has(id)) {
        jobs.get(id).stream?.abort();
        jobs.delete(id);
      }
    }
    place();
    follow();
    say("");
    document.getElementById("lists").hidden = false;
    document.getElementById("login").hidden = true;
  } catch (error) {
    if (own !== turn) return;
    fail(error);
    if (error instanceof Refused && error.status < 500 && error.status !== 429) return;
  }
  timer = setTimeout(refresh, document.hidden ? 4 * LIST_MS : LIST_MS);
}

// Opens streams of events of the jobs that run.
function follow() {
  const running = [...jobs.values()].filter((job) => job.item.state === "running");
  const open = [...jobs.values()].filter((job) => job.stream).length;
  for (const job of running.filter((one) => !one.stream).slice(0, MOST_STREAMS - open)) listen(job);
}

async function listen(job) {
  job.stream = new AbortController();
  try {
    const answer = await ask(`/${job.item.id}/events`, { signal: job.stream.signal });
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      const blocks = (text + value).split("\n\n");
      text = blocks.pop();
      for (const block of blocks) {
        const data = block.split("\n").find((line) => line.startsWith("data: "));
        if (data) update(JSON.parse(data.slice(6)));
      }
      place();
    }
  } catch {
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS)); // the list tells what is wrong
  }
  job.stream = null;
}

// -- The page ---------------------------------------------------------------------------------

function say(text, step = "") {
  const node = document.getElementById("message");
  const said = step && !text.endsWith(".") ? `${text}.` : text;
  node.replaceChildren(shown(said), step ? make("span", "soft", ` ${shown(step)}`) : "");
  node.hidden = !text;
}

function fail(error) {
  if (error instanceof Refused && error.status === 401) {
    const known = sessionStorage.getItem(TOKEN) !== null;
    sessionStorage.removeItem(TOKEN);
    leave();
    say(known ? "This token is not valid here." : "");
    document.getElementById("login").hidden = false;
    return;
  }
  if (error instanceof Refused && error.status === 403) {
    leave();
    document.getElementById("login").hidden = sessionStorage.getItem(TOKEN) === null;
  }
  if (error instanceof Refused) say(error.message, error.step);
  else say("The server does not answer.", "This page tries again by itself.");
}

function leave() {
  turn += 1;
  clearTimeout(timer);
  for (const job of jobs.values()) job.stream?.abort();
  jobs.clear();
  place();
  document.getElementById("lists").hidden = true;
  document.getElementById("forget").hidden = sessionStorage.getItem(TOKEN) === null;
}

document.getElementById("login").addEventListener("submit", (event) => {
  event.preventDefault();
  const input = document.getElementById("token");
  const token = input.value.trim();
  input.value = "";
  if (!token) return;
  sessionStorage.setItem(TOKEN, token);
  document.getElementById("forget").hidden = false;
  refresh();
});

document.getElementById("forget").addEventListener("click", () => {
  sessionStorage.removeItem(TOKEN);
  leave();
  refresh();
});

document.addEventListener("visibilitychange", () => {
  if (!document.hidden && !document.getElementById("lists").hidden) refresh();
});

document.getElementById("forget").hidden = sessionStorage.getItem(TOKEN) === null;
refresh();
