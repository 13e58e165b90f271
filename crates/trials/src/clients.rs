//! The programs that people use: etcdctl, zkCli.sh, and Python programs with kazoo.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::ensure;

use crate::process::{Printed, Process, run};
use crate::python;

/// Runs etcdctl against these endpoints and returns what it printed. `input` goes to its standard input.
///
/// # Errors
/// Fails if it reports an error.
pub fn etcdctl(endpoints: &str, arguments: &[&str], input: &str) -> anyhow::Result<String> {
    let Printed { success, output, errors, .. } = run(etcdctl_command(endpoints).args(arguments), input)?;
    ensure!(success, "etcdctl {arguments:?} against {endpoints}:\n{output}{errors}");
    Ok(output)
}

/// Starts an etcdctl that goes on, as `watch` does.
///
/// # Errors
/// Fails if it cannot be started.
pub fn etcdctl_going_on(endpoints: &str, arguments: &[&str]) -> anyhow::Result<Process> {
    Process::start("etcdctl", etcdctl_command(endpoints).args(arguments))
}

fn etcdctl_command(endpoints: &str) -> Command {
    let mut command = Command::new("etcdctl");
    command.env("ETCDCTL_API", "3").args(["--endpoints", endpoints, "--command-timeout", "20s"]);
    command
}

/// Runs zkCli.sh against one server, with these commands one after another, and returns all that it printed.
///
/// # Errors
/// Fails if it reports an error.
pub fn zkcli(server: &str, commands: &[&str]) -> anyhow::Result<String> {
    zkcli_with(server, commands, "")
}

/// The same, with further options for Java.
///
/// # Errors
/// Fails if it reports an error.
pub fn zkcli_with(server: &str, commands: &[&str], options: &str) -> anyhow::Result<String> {
    let mut command = Command::new("/usr/share/zookeeper/bin/zkCli.sh");
    let options = format!("-Xmx64m -XX:TieredStopAtLevel=1 {options}");
    command.args(["-server", server, "-waitforconnection"]).env("JVMFLAGS", options);
    let Printed { success, output, errors, .. } = run(&mut command, &format!("{}\nquit\n", commands.join("\n")))?;
    ensure!(success, "zkCli.sh against {server}:\n{output}\n{errors}");
    Ok(format!("{output}\n{errors}"))
}

/// Starts the command line of the C client (Debian's zookeeper-bin), which prints everything on its standard error; here it
/// is heard on its standard output.
///
/// # Errors
/// Fails if it cannot be started.
pub fn c_client(server: &str) -> anyhow::Result<Process> {
    let mut command = Command::new("sh");
    command.args(["-c", "exec /usr/lib/zookeeper/bin/cli_mt \"$0\" 2>&1", server]);
    Process::start("cli_mt", &mut command)
}

/// Starts one of our Python scripts.
///
/// # Errors
/// Fails if it cannot be started.
pub fn script(name: &str, arguments: &[&str]) -> anyhow::Result<Process> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts").join(name);
    let mut command = Command::new(python());
    command.arg("-u").arg(path).args(arguments).stderr(Stdio::inherit());
    Process::start(name, &mut command)
}
