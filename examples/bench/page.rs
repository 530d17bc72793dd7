//! The part of `docs/performance.md` that a run writes: machine, date, tables, picture.
//!
//! Only what stands between two marks is replaced; the rest of the page is written by people.

use std::fs;
use std::path::Path;

use anyhow::Context;

use super::chart;
use super::record::Record;
use super::tables;

const PAGE: &str = "docs/performance.md";
const FOLDER: &str = "docs/performance";
const BEGIN: &str = "<!-- figures: written by scripts/bench --write -->";
const END: &str = "<!-- end of figures -->";

/// Writes the figures, the raw values and the picture into the repository.
///
/// # Errors
///
/// The page has no marks; a file cannot be written.
pub fn write(record: &Record) -> anyhow::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let runs = format!("runs/{}-{}.json", record.date, record.machine.slug());
    record.write(&root.join(FOLDER).join(&runs))?;
    let picture = chart::draw(record);
    if let Some(svg) = &picture {
        fs::write(root.join(FOLDER).join("latency.svg"), svg)?;
    }
    let page = root.join(PAGE);
    let text = fs::read_to_string(&page)?;
    let generated = generated(record, &runs, picture.is_some());
    let text = replaced(&text, &generated).context("the page lacks its two marks")?;
    Ok(fs::write(page, text)?)
}

fn generated(record: &Record, runs: &str, has_picture: bool) -> String {
    let machine = &record.machine;
    let picture = match has_picture {
        true => "![Latency against load](performance/latency.svg)\n\n",
        false => "",
    };
    format!(
        "## Figures of {}\n\n\
         {}, {} cores, {} GiB of memory, Linux {}; {}; revision `{}`.\n\
         {} {}.\nRaw values: [{runs}](performance/{runs}).\n\n{}{picture}",
        record.date,
        machine.cpu,
        machine.cores,
        machine.memory_gib,
        machine.kernel,
        machine.rustc,
        machine.revision,
        tables::remarks(record),
        record.plan,
        tables::markdown(record),
    )
}

/// The page with another part between the marks; `None` if the marks are not there.
fn replaced(page: &str, generated: &str) -> Option<String> {
    let (before, rest) = page.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n\n{generated}{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::super::record::tests::{block, record};
    use super::*;

    #[test]
    fn only_the_part_between_the_marks_changes() {
        let page = format!("# P\n\nabove\n\n{BEGIN}\nold\n{END}\n\nbelow\n");
        let once = replaced(&page, "new\n\n").unwrap();
        assert_eq!(
            once,
            format!("# P\n\nabove\n\n{BEGIN}\n\nnew\n\n{END}\n\nbelow\n")
        );
        assert_eq!(replaced(&once, "new\n\n").unwrap(), once);
        assert_eq!(replaced("# P\n", "new"), None);
    }

    #[test]
    fn the_page_names_machine_date_and_raw_values() {
        let rate = [("per_second", 10.0), ("flush_p50_us", 321.0)];
        let mut record = record(vec![
            block("accept", "floor", 1, &rate),
            block("accept", "orderd", 1, &rate),
        ]);
        record.machine.revision = "abc1234".to_owned();
        let text = generated(&record, "runs/2026-01-31-x.json", true);
        for part in [
            "2026-01-31",
            "abc1234",
            "321 us",
            "runs/2026-01-31-x.json",
            "latency.svg",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(!text.contains("\n# "));
    }

    #[test]
    fn the_real_page_has_its_marks() {
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE);
        assert!(replaced(&fs::read_to_string(page).unwrap(), "").is_some());
    }
}
