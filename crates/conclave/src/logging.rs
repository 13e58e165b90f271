//! What a member writes to standard error. Knows no other module.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

/// The form of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// For people
    Text,
    /// For machines: one JSON object a line
    Json,
}

/// The environment variable that chooses what is logged, in the syntax of tracing's filters.
const FILTER: &str = "CONCLAVE_LOG";

/// Starts logging to standard error.
pub(crate) fn start(format: Format) -> anyhow::Result<()> {
    let chosen = std::env::var(FILTER).unwrap_or_default();
    let filter = EnvFilter::try_new(if chosen.is_empty() { "info" } else { &chosen }).map_err(|error| {
        anyhow::anyhow!("{FILTER} = {chosen:?} is not a filter: {error}; \"info\" or \"debug\" would do")
    })?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        Format::Json => builder.json().flatten_event(true).init(),
        Format::Text => {
            let declined = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
            builder.with_target(false).with_ansi(std::io::stderr().is_terminal() && !declined).init();
        }
    }
    Ok(())
}
