//! The page of a run in a real browser, where there is one: chromedriver and chromium.
#![cfg(feature = "workbench")]

mod program;
mod python_node;
mod webdriver;

use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use std::{fs, io, thread};

use program::program;
use python_node::echo_node;
use serde_json::{Value, json};
use webdriver::Browser;

/// How many messages of a chosen operation the page lists.
const ROWS: &str = "return document.querySelectorAll('#selection li').length";

/// A browser, or `None` and a notice where there is none.
fn browser() -> Option<Browser> {
    let browser = Browser::start();
    if browser.is_none() {
        // Past the test harness, which shows what tests print only where they fail.
        let notice =
            "NOT TESTED: the report page in a browser, for there is no chromedriver on the PATH";
        writeln!(io::stderr(), "{notice}").expect("stderr is open");
    }
    browser
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
    let Some(mut browser) = browser() else {
        return;
    };
    let url = page("page");
    for (width, height) in [(1440, 900), (390, 844)] {
        browser.resize(width, height);
        open(&mut browser, &url);
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
        let is_found = places_in_diagram(&mut browser).any(|(x, y)| {
            browser.click_at(x, y);
            browser.run(ROWS) == 2
        });
        assert!(
            is_found,
            "no click into the diagram has chosen an operation"
        );
    }
    assert_eq!(browser.log(), json!([]), "the console of the browser");
}

#[test]
fn warnings_stand_under_a_heading_of_their_own_with_their_operations() {
    let Some(mut browser) = browser() else {
        return;
    };
    let wrong = "say(message['src'], {'type': 'echo_ok', 'echo': body['echo'], 'in_reply_to': body['msg_id']})";
    let node = program("twice.py", &echo_node(wrong));
    for (name, flags, verdict, heading) in [
        (
            "warned",
            "-w echo --node-count 1",
            "✓ Valid with warnings: Maelstrom lets this run pass",
            "Warnings: Maelstrom lets these pass",
        ),
        (
            "warned-strictly",
            "-w echo --node-count 1 --strict",
            "✗ Invalid: this run shows what must not happen",
            "Warnings: Maelstrom lets these pass, but --strict does not",
        ),
    ] {
        open(&mut browser, &page_of(name, flags, &node));
        let text = |id: &str| format!("return document.querySelector('{id}').textContent");
        assert_eq!(browser.run(&text("#verdict")), verdict);
        assert_eq!(browser.run(&text("#warnings h2")), heading);
        let hidden = browser.run("return document.querySelector('#findings').hidden");
        assert_eq!(hidden, true);
        browser.click("#selection header button");
        browser.click("#warning-list button");
        assert_eq!(browser.run(ROWS), 3, "a request and two replies");
    }
}

#[test]
fn the_page_tells_the_figures_of_a_challenge() {
    let Some(mut browser) = browser() else {
        return;
    };
    let node = Path::new(env!("CARGO_BIN_EXE_broadcast"));
    let flags = "-w broadcast --node-count 3 --recovery 1";
    open(&mut browser, &page_of("figures", flags, node));
    browser.click("details summary");
    let told = |id| format!("return document.getElementById('{id}').innerText");
    let first = browser.run(&told("figures"));
    let first = first.as_str().expect("a text");
    assert!(first.contains("median stable latency"), "{first}");
    let all = browser.run(&told("facts"));
    let all = all.as_str().expect("a text");
    let begin = all.find("stable latencies ms").expect("a line of its own");
    let line = all[begin..].lines().next().expect("a line");
    let quantiles = [" 0.5: ", " 0.95: ", " 0.99: ", " 1: "];
    let places = quantiles.map(|name| line.find(name).expect("it is told"));
    assert!(places.is_sorted(), "{line}");
    assert_eq!(browser.log(), json!([]), "the console of the browser");
}

#[test]
fn the_page_of_a_history_from_elsewhere_speaks_of_no_messages() {
    let Some(mut browser) = browser() else {
        return;
    };
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
    for (width, height) in [(1440, 900), (390, 844)] {
        browser.resize(width, height);
        open(&mut browser, &format!("file://{}", page.display()));
        let told = browser.run("return document.body.innerText");
        let told = told.as_str().expect("a text").to_lowercase();
        assert!(
            told.contains("this history shows what must not happen"),
            "{told}"
        );
        assert!(told.contains("page.edn"), "{told}");
        assert!(!told.contains("message"), "{told}");
        let overflow = browser.run("return document.documentElement.scrollWidth <= innerWidth");
        assert_eq!(overflow, true, "it is wider than {width} pixels");
        browser.click("#finding-list button");
        let chosen = browser.run("return document.querySelector('#selection h3').innerText");
        assert!(
            chosen
                .as_str()
                .is_some_and(|chosen| chosen.contains("echo")),
            "{chosen}"
        );
    }
    assert_eq!(browser.log(), json!([]), "the console of the browser");
}

#[test]
fn the_page_lists_what_was_broken_and_when() {
    let Some(mut browser) = browser() else {
        return;
    };
    let node = Path::new(env!("CARGO_BIN_EXE_broadcast"));
    let flags = "-w broadcast --node-count 3 --nemesis partition,pause --recovery 1";
    open(&mut browser, &page_of("faults", flags, node));
    browser.click("#faults summary");
    let told = browser.run("return document.getElementById('fault-list').innerText");
    let told = told.as_str().expect("a text");
    for fault in ["partition: ", "paused: "] {
        let mut lines = told.lines();
        let is_told = |line: &str| line.starts_with("0.00 s to ") && line.contains(fault);
        assert!(lines.any(is_told), "no line for {fault:?} in {told:?}");
    }
    assert_eq!(browser.log(), json!([]), "the console of the browser");
}

#[test]
fn where_messages_were_cut_off_the_page_sends_nobody_to_look_for_them() {
    let Some(mut browser) = browser() else {
        return;
    };
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
    for (omitted, last_us, words) in [
        (0, 2_000_000, "messages.jsonl has them"),
        (held, 0, "are nowhere"),
        (1, 2_000_000, "messages.jsonl has them"),
    ] {
        data["messages"]["omitted"] = json!(omitted);
        data["messages"]["last_us"] = json!(last_us);
        // What a node says could end the script.
        let data = data.to_string().replace('<', "\\u003c");
        let page = format!("{before}id=\"data\">{data}</script>{after}");
        fs::write(path, page).expect("the test's folder can be written to");
        open(&mut browser, &url);
        let note = browser.run("return document.querySelector('#selection .note').textContent");
        assert!(
            note.as_str().is_some_and(|note| note.contains(words)),
            "{note}"
        );
    }
    assert_eq!(browser.log(), json!([]), "the console of the browser");
}

#[test]
fn a_link_leads_to_the_operation_that_was_chosen_however_many_were_before() {
    let Some(mut browser) = browser() else {
        return;
    };
    let url = page("link");
    open(&mut browser, &url);
    let hash = "return location.hash || null";
    let chosen = wait_for(&mut browser, hash);

    // Browsers limit how often an address may change, and log a warning beyond that.
    browser.run(
        "for (let i = 0; i < 300; i++) {
           document.querySelector('#selection header button').click();
           document.querySelector('#finding-list button').click();
         }
         document.querySelector('#selection header button').click();",
    );
    wait_for(&mut browser, "return location.hash === '' || null");

    let link = format!("{url}{}", chosen.as_str().expect("a text"));
    browser.open(&link);
    wait_for(&mut browser, &ROWS.replace("length", "length || null"));
    let other = format!("{url}#operation=0");
    browser.open(&other);
    let title =
        "return document.querySelector('#selection h3')?.textContent.includes('#0,') || null";
    wait_for(&mut browser, title);
    browser.open("about:blank");
    browser.open(&other);
    wait_for(&mut browser, title);
    assert_eq!(browser.log(), json!([]), "the console of the browser");
}
