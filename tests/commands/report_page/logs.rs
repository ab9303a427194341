//! What nodes print, on the page of a run.

use std::fs;
use std::path::Path;

use super::{in_browser, open, page_of, wait_for};
use crate::program::program;
use crate::python_node::echo_node;
use crate::webdriver::Browser;
use serde_json::Value;

/// Moves the mouse over a line `below` pixels below the upper edge of the diagram until `script` gives something.
fn hover_below(browser: &mut Browser, below: i64, script: &str) -> Value {
    let place = browser.run(
        "const diagram = document.getElementById('diagram');
         diagram.scrollIntoView({ block: 'center', behavior: 'instant' });
         const box = diagram.getBoundingClientRect();
         return [box.left, box.top, box.right].map(Math.round)",
    );
    let side = |index: usize| place[index].as_i64().expect("a number of pixels");
    for x in (side(0) + 60..side(2)).step_by(3) {
        browser.move_to(x, side(1) + below);
        let value = browser.run(script);
        if !value.is_null() {
            return value;
        }
    }
    panic!("nowhere below {below}: {script}");
}

#[test]
fn what_nodes_print_is_marked_below_their_lines_listed_and_shown_with_an_operation() {
    let print = "print('</script><b>asked', count, file=sys.stderr, flush=True)";
    let node = program("prints.py", &echo_node(print));
    let url = page_of("prints", "-w echo --node-count 2 --rate 40", &node);
    in_browser(|browser| {
        for (width, height) in [(1440, 900), (390, 844)] {
            browser.resize(width, height);
            browser.open("about:blank");
            open(browser, &url);

            // The list follows the time shown, and what it shows can be chosen.
            browser.click("#window-controls button:last-child");
            let entries = "const all = document.querySelectorAll('#log .entry').length; return all > 50 ? all : null";
            let all = wait_for(browser, entries);
            let printed = "return document.querySelectorAll('#log .printed').length";
            let printed = browser.run(printed).as_u64().expect("a number");
            let operations = "return document.querySelectorAll('#log .ok').length";
            let operations = browser.run(operations).as_u64().expect("a number");
            assert_eq!(Some(printed + operations), all.as_u64());
            // The run may be over before the last line is read.
            assert!(
                printed == operations || printed + 1 == operations,
                "a line for each operation: {printed} and {operations}"
            );
            browser.click("#log-filter button");
            let only = format!(
                "return document.querySelectorAll('#log .entry').length === {printed} || null"
            );
            wait_for(browser, &only);
            browser.click("#log-filter button");

            // A chosen operation is shown with what its node printed meanwhile, as text.
            wait_for(browser, entries);
            browser.click("#log button");
            let shown = browser.run("return document.querySelector('#selection .log').innerText");
            let shown = shown.as_str().expect("a text");
            assert!(shown.contains("</script><b>asked "), "{shown}");
            assert_eq!(shown.matches("asked").count(), 1, "{shown}");
            let chosen =
                "return document.querySelector('#log [aria-current] .at')?.textContent ?? null";
            wait_for(browser, chosen);

            // Below the line of the first node are its marks, each with what was printed.
            browser.click("#window-controls button:last-child");
            wait_for(browser, entries);
            let text = "const tip = document.getElementById('tooltip');
                        return tip.innerText.includes('asked') ? tip.innerText : null";
            let text = hover_below(browser, 34 + 8, text);
            let text = text.as_str().expect("a text");
            assert!(text.starts_with("n0 printed\n"), "{text}");
            browser.press();
            let row = wait_for(
                browser,
                "return document.querySelector('#log .printed[aria-current]')?.innerText ?? null",
            );
            let row = row.as_str().expect("a text");
            let of_row = row.rsplit_once('\n').map_or(row, |(_, text)| text);
            assert!(text.contains(of_row), "{row:?} in {text:?}");
            let overflow = browser.run("return document.documentElement.scrollWidth <= innerWidth");
            assert_eq!(overflow, true, "it is wider than {width} pixels");
        }
    });
}

#[test]
fn a_long_log_does_not_make_the_page_long_and_the_page_describes_what_is_left_out() {
    let print = "os.write(2, (('asked %d ' % count + 'x' * 90 + '\\n') * 1000).encode())";
    let wrong = format!("{print}; body['echo'] = 'no' if count == 30 else body['echo']");
    let node = program("floods.py", &echo_node(&wrong));
    let url = page_of("floods", "-w echo --node-count 1", &node);
    let path = url.strip_prefix("file://").expect("a file");
    let page_bytes = fs::metadata(path).expect("a page").len();
    let log = Path::new(path).with_file_name("node-logs").join("n0.log");
    let log_bytes = fs::metadata(log).expect("a log").len();
    assert!(
        page_bytes < 3_000_000 && log_bytes > 2 * page_bytes,
        "{page_bytes} and {log_bytes}"
    );

    in_browser(|browser| {
        open(browser, &url);
        let text = |id: &str| format!("return document.querySelector('{id}').innerText");
        let note = browser.run(&text("#log-note"));
        let note = note.as_str().expect("a text");
        assert!(
            note.contains("This page holds ") && note.contains("node-logs has all"),
            "{note}"
        );
        // What was printed during the operation that is the evidence is there, and before it something is missing.
        let shown = browser.run(&text("#selection .log"));
        let shown = shown.as_str().expect("a text");
        assert!(shown.contains("asked 30 x"), "{shown}");
        browser.click("#window-controls button:last-child");
        let missing = "return document.querySelector('#log .missing')?.innerText ?? null";
        let missing = wait_for(browser, missing);
        let missing = missing.as_str().expect("a text");
        assert!(
            missing.contains(" lines of n0 until ") && missing.contains("not on this page"),
            "{missing}"
        );
    });
}

#[test]
fn the_evidence_leads_to_its_operation_in_the_log_however_many_come_before_it() {
    let wrong = "body['echo'] = 'no' if count == 400 else body['echo']";
    let node = program("late.py", &echo_node(wrong));
    // Time enough for 400 requests, on a busy machine too.
    let flags = "-w echo --node-count 1 --rate 1000 --time-limit 4";
    let url = page_of("late", flags, &node);
    in_browser(|browser| {
        open(browser, &url);
        browser.click("#selection header button");
        browser.click("#finding-list button");
        let evidence =
            browser.run("return document.querySelector('#finding-list button').innerText");
        let evidence = evidence.as_str().expect("a text");
        let number = evidence.split(' ').next().expect("a number");
        let row = "return document.querySelector('#log [aria-current]')?.dataset.operation ?? null";
        let is_at_evidence = |browser: &mut Browser| {
            assert_eq!(
                format!("#{}", wait_for(browser, row)).replace('"', ""),
                number
            )
        };
        is_at_evidence(browser);
        browser.click("#window-controls button:last-child");
        let is_cut =
            "return document.getElementById('log-count').innerText.startsWith('Listed: ') || null";
        wait_for(browser, is_cut);
        is_at_evidence(browser);
        let is_in_view =
            "const row = document.querySelector('#log [aria-current]').getBoundingClientRect();
                          const list = document.getElementById('log').getBoundingClientRect();
                          return row.top >= list.top && row.bottom <= list.bottom";
        assert_eq!(browser.run(is_in_view), true, "the list has scrolled to it");
    });
}
