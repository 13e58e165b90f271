//! The only door to standard output and to plain words on standard error: colours where they belong, and no panic when
//! the reader is gone. Knows nothing of what it prints.

use std::io::{IsTerminal as _, Write as _};

/// Prints text as it is. A reader that went away is not an error of ours.
pub(crate) fn print(text: &str) {
    let mut output = std::io::stdout().lock();
    let _ = output.write_all(text.as_bytes()).and_then(|()| output.flush());
}

/// Prints one line.
pub(crate) fn print_line(line: &str) {
    print(&format!("{line}\n"));
}

/// Says on standard error what went wrong.
pub(crate) fn complain(message: &str) {
    let style = Style::for_stream(std::io::stderr().is_terminal());
    let _ = writeln!(std::io::stderr(), "{} {message}", style.paint(Paint::Alarm, "error:"));
}

/// What a piece of text is, from which its colour follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Paint {
    /// The text that matters most.
    Strong,
    /// Text that explains.
    Faint,
    /// Something is well.
    Good,
    /// Something needs a look.
    Warning,
    /// Something is wrong.
    Alarm,
}

/// Whether colours may be used.
#[derive(Clone, Copy)]
pub(crate) struct Style {
    colours: bool,
}

impl Style {
    /// Colours only for people at a terminal, and only if they did not decline them (`NO_COLOR`).
    pub(crate) fn for_stream(terminal: bool) -> Style {
        let declined = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|value| value == "dumb");
        Style { colours: terminal && !declined && !dumb }
    }

    /// The style for standard output.
    pub(crate) fn for_output() -> Style {
        Style::for_stream(std::io::stdout().is_terminal())
    }

    /// The text in its colour.
    pub(crate) fn paint(self, paint: Paint, text: &str) -> String {
        if !self.colours || text.is_empty() {
            return text.to_owned();
        }
        let code = match paint {
            Paint::Strong => "1",
            Paint::Faint => "2",
            Paint::Good => "32",
            Paint::Warning => "33",
            Paint::Alarm => "1;31",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}
