//! What the README shows works: its graph runs and ends with the line that it promises, and the
//! files that it names exist. Its Rust code runs as a test of the documentation.

use crate::support::graphs::Case;
use crate::support::{Launcher, Start};
use std::path::Path;

fn readme() -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap()
}

#[test]
fn the_graph_of_the_readme_runs_and_gives_what_is_said() {
    let text = readme();
    let (_, rest) = text.split_once("```json\n").unwrap();
    let (graph, after) = rest.split_once("```").unwrap();
    let case = Case::new(&serde_json::from_str(graph).unwrap());
    let mut args = case.args();
    args.retain(|argument| argument != "--json");
    let outcome = Start::new(Launcher::Local).args(args).finish().expect_code(0);
    assert_eq!(case.files(), ["manifest.json", "mean.npy", "y.npy"]);
    let begin = "5 tasks, 2 outputs, ";
    assert!(after.contains(begin), "the README shows another summary");
    assert!(outcome.last_line().starts_with(begin), "{outcome}");
}

#[test]
fn every_link_of_the_readme_leads_somewhere() {
    let text = readme();
    let links: Vec<&str> =
        text.split("](").skip(1).map(|rest| rest.split(')').next().unwrap()).collect();
    assert!(links.len() > 4, "{links:?}");
    for link in links {
        assert!(Path::new(env!("CARGO_MANIFEST_DIR")).join(link).exists(), "{link}");
    }
}
