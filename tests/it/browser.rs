//! The mail in a real browser: on a screen as narrow as a phone's nothing of it has to be looked for sideways.

use std::path::Path;
use std::process::Command;

use serde_json::json;

use crate::harness::Test;

/// Widths in pixels: a phone, and the reading pane of a desktop program.
const WIDTHS: [u32; 2] = [360, 600];
const LANGUAGES: [&str; 4] = ["en", "fr", "ja", "ko"];

/// A page that shows another one in a frame of some width, and then says how wide and how high that one is.
fn frame(html: &str, width: u32) -> String {
    let page = html.replace('&', "&amp;").replace('"', "&quot;");
    format!(
        "<!DOCTYPE html><meta charset=utf-8><body><iframe width={width} height=400 style='border:0' srcdoc=\"{page}\" \
         onload=\"const page = this.contentDocument.documentElement; \
         document.body.innerHTML = '[' + page.scrollWidth + ',' + page.scrollHeight + ']'\"></iframe>"
    )
}

/// Width and height of a page in a frame of this width.
fn size(test: &Test, browser: &Path, html: &str, width: u32) -> (u32, u32) {
    let file = test.path("frame.html");
    std::fs::write(&file, frame(html, width)).unwrap();
    let output = Command::new(browser)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--dump-dom", "--virtual-time-budget=10000"])
        .arg(format!("--user-data-dir={}", test.path("browser").display()))
        .arg(format!("file://{}", file.display()))
        .output()
        .unwrap();
    let dom = String::from_utf8_lossy(&output.stdout);
    let told = dom.split("<body>").nth(1).and_then(|rest| rest.split("</body>").next()).map(str::trim);
    match told.map(serde_json::from_str) {
        Some(Ok(size)) => size,
        _ => panic!("{dom}\n{}", String::from_utf8_lossy(&output.stderr)),
    }
}

#[test]
fn a_mail_fits_a_phone_and_a_desktop_in_every_language() {
    let browser = ["/usr/bin/chromium", "/usr/bin/google-chrome"].map(Path::new).into_iter().find(|path| path.exists());
    let Some(browser) = browser.filter(|_| cfg!(target_os = "linux")) else {
        eprintln!("skipped: there is no chromium here");
        return;
    };
    let test = Test::new();
    let long = "a_name_that_goes_on_and_on_without_any_place_where_a_line_could_be_broken.txt";
    let path = "/srv/".to_owned() + &"folder_without_an_end".repeat(8);
    test.project("p")
        .script("fine.txt", "print fine")
        .script(long, &format!("eprint {path}\nexit 3"))
        .script("<b>&'.txt", "eprint <script>alert(1)</script>\nexit 1")
        .set("recipients", json!(["ann@example.com"]));
    let events = test.runner(["run", "p", "--json"]).expect(1).json();
    let run = events[0]["run_id"].as_str().unwrap();
    for language in LANGUAGES {
        let shown = test.runner(["mail", "preview", run, "--language", language, "--html", "-"]).expect(0).stdout;
        assert!(shown.contains(&format!("<html lang=\"{language}\"")), "{shown}");
        for width in WIDTHS {
            let (wide, high) = size(&test, browser, &shown, width);
            assert!(wide <= width, "{language}: {wide} pixels wide on {width}");
            assert!(high > 300, "{language}: {high} pixels high: nothing is shown");
        }
    }
}
