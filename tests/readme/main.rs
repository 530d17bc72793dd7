//! Runs every command of README.md as it is printed, in the order in which a reader would, and the
//! first one of the page about steps.
//!
//! A block of JSON after a command is its expected answer; `…` stands for anything.

#[cfg(test)]
mod reader;

use reader::{blocks, matches, run, serve};

#[test]
fn every_command_of_the_readme_works_as_printed() {
    let folder = tempfile::tempdir().unwrap();
    let blocks = blocks(include_str!("../../README.md"));
    let mut server = None;
    let mut answer = String::new();
    let mut commands = 0;
    for block in &blocks {
        match block.language.as_str() {
            "sh" if block.text.trim() == "cargo run --release" => {
                server = Some(serve(folder.path()));
            }
            "sh" => {
                let (_, address) = server.as_ref().expect("the server is started first");
                answer = run(&block.text, folder.path(), address);
                commands += 1;
            }
            "json" => assert!(
                matches(&block.text, &answer),
                "{}\nis not\n{answer}",
                block.text
            ),
            "toml" => {
                std::fs::write(folder.path().join("orderd.toml"), &block.text).unwrap();
                run("target/release/orderd config check", folder.path(), "");
            }
            other => panic!("the README has a block of {other:?}"),
        }
    }
    assert!(commands >= 5, "the README lost its commands");
}

#[test]
fn work_is_leased_as_the_page_about_steps_prints_it() {
    let folder = tempfile::tempdir().unwrap();
    let page = blocks(include_str!("../../docs/steps.md"));
    let about = |language: &str, what: &str| {
        let is_it = |it: &&reader::Block| it.language == language && it.text.contains(what);
        &page.iter().find(is_it).unwrap().text
    };
    let settings = about("toml", "kind = \"pull\"");
    std::fs::write(folder.path().join("orderd.toml"), settings).unwrap();
    let (_server, address) = serve(folder.path());
    let create = "target/release/orderd orders create --customer ada --item tea:1 --total '1 JPY'";
    let id = run(create, folder.path(), &address);
    let leased = run(about("sh", "/lease"), folder.path(), &address);
    assert!(
        leased.contains("\"fence\"") && leased.contains(id.trim()),
        "{leased}"
    );
}

#[test]
fn a_pattern_matches_what_it_describes_and_nothing_else() {
    assert!(matches("{\"a\":1,…}", "{\"a\":1,\"b\":2}\n"));
    assert!(matches("abc", "abc"));
    assert!(!matches("abc", "abcd"));
    assert!(!matches("{\"a\":1,…}", "{\"a\":2,\"b\":2}"));
}
