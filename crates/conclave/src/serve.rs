//! `conclave serve`: one member, from its configuration file to its last breath. It opens the ports, starts the rooms
//! below and stops them in order; what a request means is none of its business.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::{info, warn};

use crate::admin::Admin;
use crate::config::{self, Configuration, Listen, Port};
use crate::life::Life;
use crate::listen::ListenError;
use crate::{admin, listen, logging};

/// Runs one member.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The member's configuration file (TOML); `conclave config keys` lists what may stand in it
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// The form of the log on standard error
    #[arg(long, value_enum, default_value = "text")]
    log: logging::Format,
    #[command(flatten)]
    pub(crate) life: Life,
}

/// How long a stopping member waits for its clients' connections to close.
const FAREWELL: Duration = Duration::from_secs(3);

/// Runs the member until it is told to stop or must stop by itself.
pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let loaded = config::load(&arguments.config)?;
    logging::start(arguments.log)?;
    for warning in &loaded.warnings {
        warn!("{warning}");
    }
    let configuration = loaded.configuration;
    let mut interrupted = signal(SignalKind::interrupt()).context("SIGINT cannot be caught")?;
    let mut terminated = signal(SignalKind::terminate()).context("SIGTERM cannot be caught")?;

    let (shutdown, told_to_stop) = watch::channel(false);
    let mut servers = JoinSet::new();
    let mut member = start(&configuration, &mut servers, &told_to_stop).await?;

    let signal = tokio::select! {
        _ = interrupted.recv() => "SIGINT",
        _ = terminated.recv() => "SIGTERM",
        reason = member.failed() => anyhow::bail!("the member cannot go on: {}", reason.0),
    };
    info!("{signal}: stopping");
    shutdown.send_replace(true);
    member.stop().await;
    farewell(servers).await;
    info!("stopped");
    Ok(())
}

/// Opens every port, then starts the member and all that listens.
///
/// Ports come first: a member that cannot be reached must not touch its data folder or stand for election. The admin
/// address answers from the start, so that a probe can tell a long recovery from death.
async fn start(
    configuration: &Configuration,
    servers: &mut JoinSet<()>,
    told_to_stop: &watch::Receiver<bool>,
) -> anyhow::Result<node::Running> {
    let admin_listener = listen::bind(&configuration.listen_on(Port::Admin)).await?;
    let etcd_listener = listen::bind(&configuration.listen_on(Port::Etcd)).await?;
    let zookeeper_listener = listen::bind(&configuration.listen_on(Port::ZooKeeper)).await?;

    let zookeeper_secure = match &configuration.zookeeper_tls.listen {
        Some(address) => Some(listen::bind(&Listen { address, key: "zookeeper.tls_listen".to_owned() }).await?),
        None => None,
    };
    let zookeeper_options = zookeeper_options(configuration)?;

    let etcd_service = etcd::Service::new(configuration.etcd_options())?;
    let admin = Arc::new(Admin::new(configuration));
    servers.spawn(admin::serve(admin_listener, Arc::clone(&admin), told_to_stop.clone()));

    let protocols: Vec<Arc<dyn node::Protocol>> = vec![
        Arc::new(etcd::Etcd::new(&configuration.etcd)),
        Arc::new(zookeeper::ZooKeeper::new(configuration.zookeeper_rules.clone())),
    ];
    let member = node::start(configuration.node_options(), protocols).await.map_err(|error| match error {
        node::StartError::Listen { source, .. } => {
            anyhow::Error::new(ListenError::new(&configuration.listen_on(Port::Peer), source))
        }
        other => other.into(),
    })?;
    let handle = member.handle();
    admin.attach(handle.clone());
    servers.spawn(etcd_service.serve(etcd_listener, handle.clone(), told_to_stop.clone()));
    let address = zookeeper_listener.local_addr().context("the port for ZooKeeper's clients")?;
    let zookeeper_service = zookeeper::Service::new(handle, zookeeper_options, address);
    admin.attach_zookeeper(zookeeper_service.reports());
    servers.spawn(zookeeper_service.serve(zookeeper_listener, zookeeper_secure, told_to_stop.clone()));

    info!(
        member = configuration.member,
        ensemble = configuration.ensemble,
        zookeeper = configuration.listen_on(Port::ZooKeeper).address,
        etcd = configuration.listen_on(Port::Etcd).address,
        admin = configuration.listen_on(Port::Admin).address,
        "started"
    );
    Ok(member)
}

/// The front end's options, with what lies in files read.
fn zookeeper_options(configuration: &Configuration) -> anyhow::Result<zookeeper::Options> {
    let mut options = configuration.zookeeper.clone();
    options.data_folder = configuration.data_folder().display().to_string();
    if let Some(settings) = configuration.zookeeper_tls.settings(&configuration.base) {
        options.tls = Some(Arc::new(tls::Acceptor::new(settings).context("zookeeper.tls_*")?));
    }
    if let Some(file) = &configuration.zookeeper_sasl_users {
        let file = configuration.base.join(file);
        let text =
            std::fs::read_to_string(&file).with_context(|| format!("zookeeper.sasl_users, {}", file.display()))?;
        for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()) {
            let (user, password) = line.split_once(':').with_context(|| {
                format!("{}:{number}: a line of zookeeper.sasl_users is `user:password`", file.display())
            })?;
            options.sasl_users.insert(user.to_owned(), password.to_owned());
        }
    }
    Ok(options)
}

/// Waits for the listeners to close their connections, but not for ever.
async fn farewell(mut servers: JoinSet<()>) {
    let closed = async { while servers.join_next().await.is_some() {} };
    if tokio::time::timeout(FAREWELL, closed).await.is_err() {
        warn!("some clients kept their connections open for {FAREWELL:?}; closing them");
    }
}
