//! Transcripts: what the users of a dialect type, and what they are answered, as text files that
//! read like a terminal.
//!
//! A command goes over as many lines as it needs; each line that begins with `# ` is an answer to
//! the command above it.

/// A command and the answers it may get.
pub struct Step {
    pub command: String,
    pub answers: Vec<String>,
}

/// The steps of a transcript.
pub fn read(text: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut is_typing = false;
    for line in text.lines() {
        match (line.strip_prefix("# "), steps.last_mut()) {
            (Some(answer), Some(step)) => {
                step.answers.push(answer.to_owned());
                is_typing = false;
            }
            (None, Some(step)) if is_typing => {
                step.command.push('\n');
                step.command.push_str(line);
            }
            _ => {
                is_typing = true;
                steps.push(Step {
                    command: line.to_owned(),
                    answers: Vec::new(),
                });
            }
        }
    }
    steps
}

#[test]
fn a_transcript_has_its_commands_and_their_answers() {
    let steps = read("curl \\\n a\n# 404 b | c\n# 200 d | e\n curl f\n# 200 g |\n");
    let commands: Vec<_> = steps.iter().map(|step| &*step.command).collect();
    assert_eq!(commands, ["curl \\\n a", " curl f"]);
    assert_eq!(steps[0].answers, ["404 b | c", "200 d | e"]);
    assert_eq!(steps[1].answers, ["200 g |"]);
}
