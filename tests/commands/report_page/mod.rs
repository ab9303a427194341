//! The page of a run in a real browser, where there is one: chromedriver and chromium.

mod logs;

use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use std::{fs, io, thread};

use crate::command::output::stdout;
use crate::program::program;
use crate::python_node::echo_node;
use crate::webdriver::Browser;
use serde_json::{Value, json};

/// How many messages of a chosen operation the page lists.
const ROWS: &str = "return document.querySelectorAll('#selection li').length";

/// Runs a test in a new tab of the browser that these tests share, and asserts that the browser's console has stayed empty.
/// Where there is no browser, it prints a notice. A test writes its page before, as only one test at a time has a tab.
fn in_browser(test: impl FnOnce(&mut Browser)) {
    let Some(browser) = Browser::shared() else {
        // Past the test harness, which shows what tests print only where they fail.
        let notice =
            "NOT TESTED: the report page in a browser, for there is no chromedriver on the PATH";
        writeln!(io::stderr(), "{notice}").expect("stderr is open");
        return;
    };
    let mut browser = Browser::new_tab(&browser);
    test(&mut browser);
    assert_eq!(browser.log(), json!([]), "the console of the browser");
}

/// Opens a page and waits until it is drawn.
fn open(browser: &mut Browser, url: &str) {
    browser.open(url);
    wait_for(
        browser,
        "return document.documentElement.dataset.readyMs ?? null",
    );
}

/// The page of a run with an operation that is answered wrongly, by what would be a script if a page took it for one.
fn page(name: &str) -> String {
    let wrong =
        "if count == 5: body['echo'] = \"</script><script>document.title='owned'</script>\"";
    let node = program(&format!("{name}.py"), &echo_node(wrong));
    page_of(name, "-w echo --node-count 2", &node)
}

/// The page of a short run.
fn page_of(name: &str, flags: &str, node: &Path) -> String {
    let store = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&store);
    Command::new(env!("CARGO_BIN_EXE_eddy"))
        .args("test --seed 1 --rate 100 --time-limit 1 --bin".split(' '))
        .arg(node)
        .args(flags.split(' '))
        .arg("--store")
        .arg(&store)
        .output()
        .expect("eddy is built");
    let page = fs::canonicalize(store.join("latest/report.html")).expect("there is a page");
    format!("file://{}", page.display())
}

/// What `eddy show` prints about an operation of the last run.
fn operation(store: &Path, number: &str) -> String {
    let shown = Command::new(env!("CARGO_BIN_EXE_eddy"))
        .args(["show", "--operation", number, "--store"])
        .arg(store)
        .output();
    stdout(&shown.expect("eddy is built"))
}

/// The messages of an operation of the last run, as `eddy show` lists them: "c6 → n0 {…}".
fn messages(store: &Path, number: &str) -> Vec<String> {
    // A line is "0.027929 s  c6 → n0 {…}  (delivered at 0.028132 s)".
    let message = |line: &str| {
        let (_, message) = line.split_once(" s  ")?;
        let (message, _) = message.rsplit_once("  (")?;
        Some(String::from(message))
    };
    let shown = operation(store, number);
    shown.lines().filter_map(message).collect()
}

/// Waits until a script gives something.
fn wait_for(browser: &mut Browser, script: &str) -> Value {
    for _ in 0..100 {
        let value = browser.run(script);
        if !value.is_null() {
            return value;
        }
        thread::sleep(Duration::from_millis(50));
    }
    panic!("never came: {script}");
}

/// Places in the part of the window that shows the diagram, near enough to each other to hit every message.
fn places_in_diagram(browser: &mut Browser) -> impl Iterator<Item = (i64, i64)> + use<> {
    let place = browser.run(
        "const diagram = document.getElementById('diagram');
         diagram.scrollIntoView({ block: 'center', behavior: 'instant' });
         const box = diagram.getBoundingClientRect();
         return [box.left, box.top, box.right, box.bottom].map(Math.round)",
    );
    let side = |index: usize| place[index].as_i64().expect("a number of pixels");
    let (left, top, right, bottom) = (side(0), side(1), side(2), side(3));
    let columns = move |y| (left + 60..right).step_by(8).map(move |x| (x, y));
    (top + 24..bottom).step_by(29).flat_map(columns)
}

#[test]
fn the_page_draws_without_an_error_and_shows_what_a_chosen_operation_has_caused() {
    let url = page("page");
    in_browser(|browser| {
        for (width, height) in [(1440, 900), (390, 844)] {
            browser.resize(width, height);
            open(browser, &url);
            assert_eq!(browser.run("return document.title"), "✗ Invalid · echo");
            let overflow = browser.run("return document.documentElement.scrollWidth <= innerWidth");
            assert_eq!(overflow, true, "it is wider than {width} pixels");

            // The operation that is the evidence is chosen from the start, until all is to be shown again.
            assert_eq!(browser.run(ROWS), 2);
            browser.click("#selection header button");
            assert_eq!(browser.run(ROWS), 0);
            browser.click("#finding-list button");
            assert_eq!(browser.run(ROWS), 2, "the request and its reply");

            // So does a click on one of its messages, wherever that is in the diagram.
            browser.click("#selection header button");
            let is_found = places_in_diagram(browser).any(|(x, y)| {
                browser.click_at(x, y);
                browser.run(ROWS) == 2
            });
            assert!(
                is_found,
                "no click into the diagram has chosen an operation"
            );
        }
    });
}

#[test]
fn a_stale_reply_of_a_service_is_marked_where_its_operation_is_shown() {
    let wrong = "if 'in_reply_to' in body: continue
    if me == 'n0': say('seq-kv', {'type': 'write', 'key': 1, 'value': count, 'msg_id': count})
    elif count == 20: say('seq-kv', {'type': 'read', 'key': 1, 'msg_id': 1}); time.sleep(0.1); body['echo'] = 'no'";
    let node = program("stale.py", &echo_node(wrong));
    let url = page_of("stale", "-w echo --node-count 2 --seq-kv lazy", &node);
    let remark = "stale: the value had been replaced when the service replied";

    let store = Path::new(env!("CARGO_TARGET_TMPDIR")).join("stale");
    let results = fs::read_to_string(store.join("latest/results.json")).expect("results");
    let results: Value = serde_json::from_str(&results).expect("JSON");
    let evidence = &results["findings"][0]["operation_indices"][0];
    let shown = operation(&store, &evidence.to_string());
    assert_eq!(shown.matches(remark).count(), 1, "{shown}");

    in_browser(|browser| {
        open(browser, &url);
        let rows = browser.run("return document.querySelector('#selection').textContent");
        let rows = rows.as_str().expect("a text");
        assert_eq!(rows.matches(remark).count(), 1, "{rows}");
    });
}

#[test]
fn what_a_node_sends_right_after_its_reply_is_marked_where_the_operation_is_shown() {
    // Both in one write, so that nothing comes between them.
    let wrong = "if body['type'] == 'gossip': continue
    reply = {'type': 'echo_ok', 'echo': body['echo'], 'in_reply_to': body['msg_id']}
    both = [(message['src'], reply), ('n1' if me == 'n0' else 'n0', {'type': 'gossip'})]
    print('\\n'.join(json.dumps({'src': me, 'dest': dest, 'body': body}) for dest, body in both), flush=True)
    continue";
    let node = program("replies-first.py", &echo_node(wrong));
    let url = page_of("replies-first", "-w echo --node-count 2", &node);
    let store = Path::new(env!("CARGO_TARGET_TMPDIR")).join("replies-first");
    let shown = operation(&store, "0");
    let is_marked =
        |line: &str| line.contains("gossip") && line.ends_with("; sent after the reply)");
    assert!(shown.lines().any(is_marked), "{shown}");

    in_browser(|browser| {
        open(browser, &format!("{url}#operation=0"));
        let rows = browser.run("return document.querySelector('#selection ol').textContent");
        let rows = rows.as_str().expect("a text");
        assert!(
            rows.contains(" after the reply{\"type\": \"gossip\"}"),
            "{rows}"
        );

        // The page and `eddy show` find the messages of an operation each for itself.
        for number in (0..48).step_by(4).map(|number| number.to_string()) {
            browser.run(&format!("location.hash = 'operation={number}'"));
            let is_chosen = format!(
                "return document.querySelector('#selection h3').textContent.includes('#{number},') || null"
            );
            wait_for(browser, &is_chosen);
            let rows = browser.run(
                "return [...document.querySelectorAll('#selection .messages li')]
                     .map(({ children }) => `${children[1].textContent} ${children[3].textContent}`)",
            );
            let shown = messages(&store, &number);
            assert!(
                shown.len() > 2,
                "a request, its reply and gossip: {shown:?}"
            );
            assert_eq!(rows, json!(shown), "operation {number}");
        }
    });
}

#[test]
fn a_reply_without_in_reply_to_is_shown_with_the_operation_that_it_was_meant_for() {
    let wrong = "if count == 1: say(message['src'], {'type': 'echo_ok', 'echo': 'lost'}); continue";
    let node = program("unrelated.py", &echo_node(wrong));
    let url = page_of("unrelated", "-w echo --node-count 1", &node);
    let store = Path::new(env!("CARGO_TARGET_TMPDIR")).join("unrelated");
    let shown = messages(&store, "0");
    assert_eq!(shown.len(), 2, "{shown:?}");
    assert!(shown[1].contains("lost"), "{shown:?}");

    in_browser(|browser| {
        open(browser, &format!("{url}#operation=0"));
        let rows = browser.run("return document.querySelector('#selection ol').textContent");
        let rows = rows.as_str().expect("a text");
        assert!(rows.contains("sent by n0 meanwhile"), "{rows}");
    });
}

#[test]
fn warnings_stand_under_a_heading_of_their_own_with_their_operations() {
    let wrong = "say(message['src'], {'type': 'echo_ok', 'echo': body['echo'], 'in_reply_to': body['msg_id']})";
    let node = program("answers-twice.py", &echo_node(wrong));
    let cases = [
        (
            page_of("warned-page", "-w echo --node-count 1", &node),
            "✓ Valid with warnings: Maelstrom lets this run pass",
            "Warnings: Maelstrom lets these pass",
        ),
        (
            page_of("warned-strictly", "-w echo --node-count 1 --strict", &node),
            "✗ Invalid: this run shows what must not happen",
            "Warnings: Maelstrom lets these pass, but --strict does not",
        ),
    ];
    in_browser(|browser| {
        for (url, verdict, heading) in cases {
            open(browser, &url);
            let text = |id: &str| format!("return document.querySelector('{id}').textContent");
            assert_eq!(browser.run(&text("#verdict")), verdict);
            assert_eq!(browser.run(&text("#warnings h2")), heading);
            let hidden = browser.run("return document.querySelector('#findings').hidden");
            assert_eq!(hidden, true);
            browser.click("#selection header button");
            browser.click("#warning-list button");
            assert_eq!(browser.run(ROWS), 3, "a request and two replies");
        }
    });
}

#[test]
fn the_page_shows_the_figures_of_a_challenge() {
    let node = Path::new(env!("CARGO_BIN_EXE_broadcast"));
    let flags = "-w broadcast --node-count 3 --recovery 1";
    let url = page_of("figures", flags, node);
    in_browser(|browser| {
        open(browser, &url);
        browser.click("details summary");
        let shown = |id| format!("return document.getElementById('{id}').innerText");
        let first = browser.run(&shown("figures"));
        let first = first.as_str().expect("a text");
        assert!(first.contains("median stable latency"), "{first}");
        let all = browser.run(&shown("facts"));
        let all = all.as_str().expect("a text");
        let begin = all.find("stable latencies ms").expect("a line of its own");
        let line = all[begin..].lines().next().expect("a line");
        let quantiles = ["min: ", " median: ", " p95: ", " p99: ", " max: "];
        let places = quantiles.map(|name| line.find(name).expect("it is shown"));
        assert!(places.is_sorted(), "{line}");
    });
}

#[test]
fn the_page_of_a_history_from_elsewhere_speaks_of_no_messages() {
    let history = r#"
        {:process 0, :type :invoke, :f :echo, :value "a"}
        {:process 0, :type :ok, :f :echo, :value {:type "echo_ok", :echo "<b>"}}"#;
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let (file, store) = (folder.join("page.edn"), folder.join("page-of-history"));
    fs::write(&file, history).expect("the test's folder can be written to");
    let _ = fs::remove_dir_all(&store);
    Command::new(env!("CARGO_BIN_EXE_eddy"))
        .args(["check", "-w", "echo", "--store"])
        .args([&store, &file])
        .output()
        .expect("eddy is built");
    let page = fs::canonicalize(store.join("latest/report.html")).expect("there is a page");
    in_browser(|browser| {
        for (width, height) in [(1440, 900), (390, 844)] {
            browser.resize(width, height);
            open(browser, &format!("file://{}", page.display()));
            let shown = browser.run("return document.body.innerText");
            let shown = shown.as_str().expect("a text").to_lowercase();
            assert!(
                shown.contains("this history shows what must not happen"),
                "{shown}"
            );
            assert!(shown.contains("page.edn"), "{shown}");
            assert!(!shown.contains("message"), "{shown}");
            let overflow = browser.run("return document.documentElement.scrollWidth <= innerWidth");
            assert_eq!(overflow, true, "it is wider than {width} pixels");
            browser.click("#finding-list button");
            // There is no diagram to look at.
            let is_in_view =
            "const { top, bottom } = document.getElementById('timeline').getBoundingClientRect();
                              return (top >= 0 && bottom <= innerHeight) || null";
            wait_for(browser, is_in_view);
            let chosen = browser.run("return document.querySelector('#selection h3').innerText");
            assert!(
                chosen
                    .as_str()
                    .is_some_and(|chosen| chosen.contains("echo")),
                "{chosen}"
            );
        }
    });
}

#[test]
fn the_page_of_a_run_without_operations_draws_without_an_error() {
    let node = program("unasked.py", &echo_node("pass"));
    let flags = "-w echo --node-count 1 --rate 0 --time-limit 0 --recovery 0";
    let url = page_of("unasked", flags, &node);
    in_browser(|browser| {
        open(browser, &url);
        let verdict = browser.run("return document.getElementById('verdict').innerText");
        assert_eq!(verdict, "? Unknown: this run could not be decided");
        browser.click("#window-controls button:last-child");
        let shown = browser.run("return document.body.innerText");
        let shown = shown.as_str().expect("a text");
        assert!(
            !shown.contains("NaN") && !shown.contains("undefined"),
            "{shown}"
        );
    });
}

#[test]
fn the_page_lists_what_was_broken_and_when() {
    let node = Path::new(env!("CARGO_BIN_EXE_broadcast"));
    let flags = "-w broadcast --node-count 3 --nemesis partition,pause --recovery 1";
    let url = page_of("faults", flags, node);
    in_browser(|browser| {
        open(browser, &url);
        browser.click("#faults summary");
        let shown = browser.run("return document.getElementById('fault-list').innerText");
        let shown = shown.as_str().expect("a text");
        for fault in ["partition: ", "paused: "] {
            let mut lines = shown.lines();
            let is_listed = |line: &str| line.starts_with("0.00 s to ") && line.contains(fault);
            assert!(lines.any(is_listed), "no line for {fault:?} in {shown:?}");
        }
    });
}

#[test]
fn where_messages_were_cut_off_the_page_sends_nobody_to_look_for_them() {
    let url = page("cut");
    let path = url.strip_prefix("file://").expect("a file");
    let html = fs::read_to_string(path).expect("there is a page");
    let (before, rest) = html.split_once("id=\"data\">").expect("it has data");
    let (data, after) = rest.split_once("</script>").expect("they end");
    let mut data: Value = serde_json::from_str(data).expect("JSON");
    let messages = data["messages"].as_object_mut().expect("columns");
    let held = messages["id"].as_array().expect("a column").len();
    for column in messages.values_mut().filter_map(Value::as_array_mut) {
        if column.len() == held {
            column.clear();
        }
    }
    in_browser(|browser| {
        for (omitted, last_us, words) in [
            (0, 2_000_000, "eddy show --messages prints them"),
            (held, 0, "were not stored"),
            (1, 2_000_000, "eddy show --messages prints them"),
        ] {
            data["messages"]["omitted"] = json!(omitted);
            data["messages"]["last_us"] = json!(last_us);
            // What a node prints could end the script.
            let data = data.to_string().replace('<', "\\u003c");
            let page = format!("{before}id=\"data\">{data}</script>{after}");
            fs::write(path, page).expect("the test's folder can be written to");
            open(browser, &url);
            let note = browser.run("return document.querySelector('#selection .note').textContent");
            assert!(
                note.as_str().is_some_and(|note| note.contains(words)),
                "{note}"
            );
        }
    });
}

#[test]
fn a_link_leads_to_the_operation_that_was_chosen_however_many_were_before() {
    let url = page("link");
    in_browser(|browser| {
        open(browser, &url);
        let hash = "return location.hash || null";
        let chosen = wait_for(browser, hash);

        // Browsers limit how often an address may change, and log a warning beyond that.
        browser.run(
            "for (let i = 0; i < 300; i++) {
               document.querySelector('#selection header button').click();
               document.querySelector('#finding-list button').click();
             }
             document.querySelector('#selection header button').click();",
        );
        wait_for(browser, "return location.hash === '' || null");

        let link = format!("{url}{}", chosen.as_str().expect("a text"));
        browser.open(&link);
        wait_for(browser, &ROWS.replace("length", "length || null"));
        let other = format!("{url}#operation=0");
        browser.open(&other);
        let title =
            "return document.querySelector('#selection h3')?.textContent.includes('#0,') || null";
        wait_for(browser, title);
        browser.open("about:blank");
        browser.open(&other);
        wait_for(browser, title);
    });
}

#[test]
fn the_runs_of_a_store_are_filtered_and_lead_to_their_pages() {
    let url = page("runs");
    let (store, _) = url.split_once("/latest").unwrap_or_else(|| {
        let at = url.find("/echo/").expect("the folder of the workload");
        url.split_at(at)
    });
    let folder = store.strip_prefix("file://").expect("a file");
    let broken = Path::new(folder).join("a#b%20 c/20200101T000000.000Z");
    fs::create_dir_all(&broken).expect("a folder");
    fs::write(broken.join("results.json"), "<b>").expect("a file");
    fs::write(broken.join("log.txt"), "it began").expect("a file");
    Command::new(env!("CARGO_BIN_EXE_eddy"))
        .args(["runs", "--store", folder])
        .output()
        .expect("eddy is built");
    in_browser(|browser| {
        for (width, height) in [(1440, 900), (390, 844)] {
            browser.resize(width, height);
            open(browser, &format!("{store}/index.html"));
            let shown = "return [...document.querySelectorAll('#run-list tr')]
                           .filter((row) => row.offsetHeight > 0).map((row) => row.innerText).join('\\n')";
            let all = browser.run(shown);
            let all = all.as_str().expect("a text");
            assert!(
                all.contains("is not of this version of eddy") && all.contains("a#b%20 c"),
                "{all}"
            );
            browser.run(
                "const filter = document.getElementById('filter');
                 filter.value = 'INVALID echo';
                 filter.dispatchEvent(new Event('input'));",
            );
            let left = browser.run(shown);
            let left = left.as_str().expect("a text");
            assert!(left.contains("seed 1"), "{left}");
            assert!(!left.contains("a#b%20 c"), "{left}");
            let count = browser.run("return document.getElementById('run-count').innerText");
            assert_eq!(count, "1 of 2 runs");
            let overflow = browser.run("return document.documentElement.scrollWidth <= innerWidth");
            assert_eq!(overflow, true, "it is wider than {width} pixels");
        }
        browser.click("#run-list tr:not([hidden]) a");
        wait_for(
            browser,
            "return document.title === '✗ Invalid · echo' || null",
        );
        open(browser, &format!("{store}/index.html"));
        browser.click("#run-list tr:last-child a");
        let log = "return document.body.innerText.includes('it began') || null";
        wait_for(browser, log);
    });
}
