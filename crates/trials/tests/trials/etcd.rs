//! etcd's clients beyond everyday use: accounts, operations, certificates, and plain HTTP.

use std::path::Path;
use std::process::Command;

use conclave_trials::clients::{etcdctl, etcdctl_going_on};
use conclave_trials::ensemble::Ensemble;
use conclave_trials::process::run;
use serde_json::{Value, json};

/// Runs etcdctl as a user and returns what it printed, or the error it reported.
fn as_user(endpoint: &str, user: &str, arguments: &[&str]) -> Result<String, String> {
    etcdctl(endpoint, &[&["--user", user], arguments].concat(), "").map_err(|error| error.to_string())
}

fn refused(outcome: Result<String, String>, reason: &str) {
    let error = outcome.expect_err("it should be refused");
    assert!(error.contains(reason), "{error}");
}

#[test]
fn etcdctl_administers_users_and_roles() {
    let ensemble = Ensemble::start(3).unwrap();
    let [one, two, three] = ensemble.members() else { panic!("three members were started") };
    let (one, two, three) = (&one.etcd, &two.etcd, &three.etcd);
    let call = |endpoint: &str, arguments: &[&str]| etcdctl(endpoint, arguments, "").unwrap();
    assert_eq!(call(one, &["user", "add", "root:r"]), "User root created\n");
    assert_eq!(call(two, &["user", "add", "alice:a"]), "User alice created\n");
    assert_eq!(call(three, &["role", "add", "reader"]), "Role reader created\n");
    assert_eq!(
        call(one, &["role", "grant-permission", "reader", "readwrite", "a/", "--prefix"]),
        "Role reader updated\n"
    );
    assert_eq!(call(two, &["user", "grant-role", "alice", "reader"]), "Role reader is granted to user alice\n");
    // It makes the role of root and grants it.
    assert_eq!(call(three, &["auth", "enable"]), "Authentication Enabled\n");
    refused(etcdctl(one, &["get", "a/1"], "").map_err(|error| error.to_string()), "user name is empty");
    refused(as_user(one, "alice:wrong", &["get", "a/1"]), "authentication failed, invalid user ID or password");

    for endpoint in [one, two, three] {
        assert_eq!(as_user(endpoint, "alice:a", &["put", "a/1", endpoint]), Ok("OK\n".to_owned()));
        assert_eq!(as_user(endpoint, "alice:a", &["get", "a/1"]), Ok(format!("a/1\n{endpoint}\n")));
        refused(as_user(endpoint, "alice:a", &["put", "b", ""]), "permission denied");
        refused(as_user(endpoint, "alice:a", &["get", "", "--prefix"]), "permission denied");
        refused(as_user(endpoint, "alice:a", &["user", "list"]), "permission denied");
    }
    assert_eq!(as_user(two, "root:r", &["user", "list"]), Ok("alice\nroot\n".to_owned()));
    assert_eq!(as_user(two, "root:r", &["role", "list"]), Ok("reader\nroot\n".to_owned()));
    assert_eq!(as_user(two, "alice:a", &["user", "get", "alice"]), Ok("User: alice\nRoles: reader\n".to_owned()));
    let role = as_user(three, "alice:a", &["role", "get", "reader"]).unwrap();
    assert!(role.contains("[a/, a0) (prefix a/)"), "{role}");

    // What is taken at one member is taken at all of them, from the next request on.
    as_user(one, "root:r", &["role", "revoke-permission", "reader", "a/", "--prefix"]).unwrap();
    for endpoint in [two, three] {
        refused(as_user(endpoint, "alice:a", &["get", "a/1"]), "permission denied");
    }
    etcdctl(one, &["--user", "root:r", "user", "passwd", "alice", "--interactive=false"], "new\n").unwrap();
    refused(as_user(three, "alice:a", &["user", "get", "alice"]), "authentication failed");
    as_user(three, "alice:new", &["user", "get", "alice"]).unwrap();
    as_user(two, "root:r", &["user", "revoke-role", "alice", "reader"]).unwrap();
    as_user(two, "root:r", &["role", "delete", "reader"]).unwrap();
    as_user(two, "root:r", &["user", "delete", "alice"]).unwrap();
    assert_eq!(as_user(three, "root:r", &["auth", "disable"]), Ok("Authentication Disabled\n".to_owned()));
    assert_eq!(call(one, &["get", "a/1"]), format!("a/1\n{three}\n"));
    ensemble.stop().unwrap();
}

#[test]
fn etcdctl_operates_an_ensemble() {
    let ensemble = Ensemble::start(3).unwrap();
    let all = ensemble.etcd().join(",");
    let call = |arguments: &[&str]| etcdctl(&all, arguments, "").unwrap();
    let read =
        |arguments: &[&str]| -> Value { serde_json::from_str(&call(&[arguments, &["-w", "json"]].concat())).unwrap() };
    call(&["put", "key", "value"]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("snapshot");
    etcdctl(&ensemble.members()[0].etcd, &["snapshot", "save", file.to_str().unwrap()], "").unwrap();
    let length = std::fs::metadata(&file).unwrap().len();
    assert_eq!(length % 512, 32, "{length} bytes: whole units and a checksum");

    assert_eq!(call(&["alarm", "list"]), "");
    call(&["alarm", "disarm"]);
    assert_eq!(call(&["defrag"]).lines().count(), 3);
    assert_eq!(call(&["endpoint", "status", "--cluster"]).lines().count(), 3);
    let hashes = read(&["endpoint", "hashkv", "--cluster"]);
    let hashes: Vec<&Value> = hashes.as_array().unwrap().iter().map(|one| &one["HashKV"]["hash"]).collect();
    assert!(hashes.len() == 3 && hashes.iter().all(|hash| *hash == hashes[0]), "{hashes:?}");

    let status = read(&["endpoint", "status"]);
    let leader = status[0]["Status"]["leader"].as_u64().unwrap();
    let member = |one: &Value| one["Status"]["header"]["member_id"].as_u64().unwrap();
    let other = status.as_array().unwrap().iter().map(member).find(|id| *id != leader).unwrap();
    assert!(call(&["move-leader", &format!("{other:x}")]).contains("Leadership transferred"));

    let added = call(&["member", "add", "fourth", "--learner", "--peer-urls=http://127.0.0.1:1"]);
    assert!(added.contains("added to cluster"), "{added}");
    let again = etcdctl(&all, &["member", "add", "x", "--peer-urls=http://127.0.0.1:1"], "").unwrap_err().to_string();
    assert!(again.contains("Peer URLs already exists"), "{again}");
    let members = read(&["member", "list"]);
    let learner = members["members"].as_array().unwrap().iter().find(|one| one["isLearner"] == true).unwrap();
    let learner = format!("{:x}", learner["ID"].as_u64().unwrap());
    let early = etcdctl(&all, &["member", "promote", &learner], "").unwrap_err().to_string();
    assert!(early.contains("can only promote a learner member which is in sync with leader"), "{early}");
    call(&["member", "update", &learner, "--peer-urls=http://127.0.0.1:2"]);
    assert!(call(&["member", "list"]).contains("http://127.0.0.1:2"));
    call(&["member", "remove", &learner]);
    assert_eq!(call(&["member", "list"]).lines().count(), 3);
    let gone = etcdctl(&all, &["member", "remove", &learner], "").unwrap_err().to_string();
    assert!(gone.to_lowercase().contains("member not found"), "{gone}");
    ensemble.stop().unwrap();
}

#[test]
fn etcdctl_locks_elects_and_mirrors() {
    let ensemble = Ensemble::start(3).unwrap();
    let [one, two, three] = ensemble.members() else { panic!("three members were started") };
    let printed = etcdctl(&one.etcd, &["lock", "name", "echo", "held"], "").unwrap();
    assert_eq!(printed, "held\n");
    let mut holder = etcdctl_going_on(&one.etcd, &["lock", "name"]).unwrap();
    let key = holder.hear("its key", |_| true).unwrap();
    assert!(key.starts_with("name/"), "{key}");
    let mut waiting = etcdctl_going_on(&two.etcd, &["lock", "name"]).unwrap();
    drop(holder);
    etcdctl(&three.etcd, &["del", &key], "").unwrap();
    let next = waiting.hear("its key", |_| true).unwrap();
    assert_ne!(next, key);

    let mut candidate = etcdctl_going_on(&two.etcd, &["elect", "e", "me"]).unwrap();
    candidate.hear("the leader", |line| line == "me").unwrap();
    let mut observer = etcdctl_going_on(&three.etcd, &["elect", "-l", "e"]).unwrap();
    observer.hear("the leader", |line| line == "me").unwrap();

    let other = Ensemble::start(1).unwrap();
    etcdctl(&one.etcd, &["put", "m/1", "before"], "").unwrap();
    let target = &other.members()[0].etcd;
    let mut changes = etcdctl_going_on(target, &["watch", "m/", "--prefix", "--rev=2"]).unwrap();
    let arguments = ["make-mirror", "--prefix=m/", "--dest-prefix=m/", target.as_str()];
    let _mirror = etcdctl_going_on(&two.etcd, &arguments).unwrap();
    changes.hear("what was there before", |line| line == "before").unwrap();
    etcdctl(&three.etcd, &["put", "m/2", "after"], "").unwrap();
    changes.hear("what came after", |line| line == "after").unwrap();
}

/// Posts JSON, or gets if there is none; returns the status and the body.
fn curl(url: &str, body: Option<&Value>, options: &[&str]) -> (String, String) {
    let mut command = Command::new("curl");
    command.args(["-s", "-S", "--max-time", "20", "-w", "\n%{http_code}"]).args(options).arg(url);
    if let Some(body) = body {
        command.args(["-d", &body.to_string()]);
    }
    let printed = run(&mut command, "").unwrap();
    assert!(printed.success, "{}", printed.errors);
    let (body, status) = printed.output.rsplit_once('\n').unwrap();
    (status.to_owned(), body.to_owned())
}

#[test]
fn curl_speaks_to_the_gateway() {
    let ensemble = Ensemble::start(1).unwrap();
    let base = format!("http://{}", ensemble.members()[0].etcd);
    let post = |path: &str, body: Value| -> Value {
        let (status, body) = curl(&format!("{base}/v3{path}"), Some(&body), &[]);
        assert_eq!(status, "200", "{body}");
        serde_json::from_str(&body).unwrap()
    };
    assert_eq!(post("/kv/put", json!({"key": "YQ==", "value": "MQ=="}))["header"]["revision"], "2");
    assert_eq!(post("/kv/range", json!({"key": "YQ=="}))["kvs"][0]["value"], "MQ==");
    let compare = json!({"key": "YQ==", "target": "VALUE", "result": "EQUAL", "value": "MQ=="});
    let put = json!({"requestPut": {"key": "YQ==", "value": "Mg=="}});
    assert_eq!(post("/kv/txn", json!({"compare": [compare], "success": [put]}))["succeeded"], true);
    let lease = post("/lease/grant", json!({"TTL": 60}));
    assert_eq!(post("/lease/timetolive", json!({"ID": lease["ID"]}))["grantedTTL"], "60");
    let kept = post("/lease/keepalive", json!({"ID": lease["ID"]}));
    assert_eq!(kept["result"]["TTL"], "60");
    assert_eq!(post("/cluster/member/list", json!({}))["members"].as_array().unwrap().len(), 1);
    assert_eq!(
        post("/lock/lock", json!({"name": "bA==", "lease": lease["ID"]}))["key"].as_str().map(str::len),
        Some(24)
    );
    assert_eq!(post("/auth/status", json!({}))["authRevision"], "1");
    let snapshot = curl(&format!("{base}/v3/maintenance/snapshot"), Some(&json!({})), &[]).1;
    assert!(snapshot.lines().count() >= 2 && snapshot.contains("\"blob\""), "{snapshot}");

    let (status, body) = curl(&format!("{base}/v3/kv/range"), Some(&json!({"key": ""})), &[]);
    assert_eq!(status, "400");
    assert_eq!(serde_json::from_str::<Value>(&body).unwrap()["message"], "etcdserver: key is not provided");
    // A watch streams a line for each response; the first two are there before the time is up.
    let watch = json!({"create_request": {"key": "YQ==", "start_revision": "2"}});
    let output = Command::new("curl")
        .args(["-s", "-N", "--max-time", "2", &format!("{base}/v3/watch"), "-d", &watch.to_string()])
        .output()
        .unwrap();
    let lines = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[0]["result"]["created"], true);
    assert_eq!(lines[1]["result"]["events"].as_array().unwrap().len(), 2);

    let (status, metrics) = curl(&format!("{base}/metrics"), None, &[]);
    assert_eq!(status, "200");
    for name in
        ["etcd_server_has_leader 1", "etcd_server_is_leader 1", "etcd_mvcc_put_total", "etcd_debugging_mvcc_keys_total"]
    {
        assert!(metrics.lines().any(|line| line.starts_with(name)), "{name} is missing:\n{metrics}");
    }
    for (page, expected) in [("/health", "\"health\":\"true\""), ("/readyz", "ok"), ("/version", "etcdserver")] {
        let (status, body) = curl(&format!("{base}{page}"), None, &[]);
        assert!(status == "200" && body.contains(expected), "{page}: {body}");
    }
    ensemble.stop().unwrap();
}

fn openssl(folder: &Path, arguments: &str) {
    let printed = run(Command::new("openssl").current_dir(folder).args(arguments.split(' ')), "").unwrap();
    assert!(printed.success, "openssl {arguments}: {}", printed.errors);
}

/// An authority, and certificates by it: for the server, and for clients of these names.
fn certificates(folder: &Path, clients: &[&str]) {
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    openssl(folder, &format!("req -x509 {key} -keyout ca.key -out ca.crt -days 2 -subj /CN=authority"));
    std::fs::write(folder.join("names"), "subjectAltName=IP:127.0.0.1,DNS:localhost\n").unwrap();
    for name in clients.iter().chain(&["server"]) {
        openssl(folder, &format!("req {key} -keyout {name}.key -out {name}.csr -subj /CN={name}"));
        let sign = format!("x509 -req -in {name}.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2");
        openssl(folder, &format!("{sign} -out {name}.crt -extfile names"));
    }
}

#[test]
fn a_certificate_is_needed_and_names_its_user() {
    let folder = tempfile::tempdir().unwrap();
    certificates(folder.path(), &["root", "alice"]);
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let settings = [
        format!("etcd.tls_certificate={}", path("server.crt")),
        format!("etcd.tls_key={}", path("server.key")),
        format!("etcd.tls_client_authorities={}", path("ca.crt")),
    ];
    let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
    let ensemble = Ensemble::start_with(1, &settings).unwrap();
    let endpoint = format!("https://{}", ensemble.members()[0].etcd);
    let call = |name: &str, arguments: &[&str]| {
        let (certificate, key, authority) =
            (path(&format!("{name}.crt")), path(&format!("{name}.key")), path("ca.crt"));
        let certified = ["--cert", &certificate, "--key", &key, "--cacert", &authority];
        etcdctl(&endpoint, &[&certified, arguments].concat(), "").map_err(|error| error.to_string())
    };
    call("alice", &["put", "a", "1"]).unwrap();
    let authority = path("ca.crt");
    let bare =
        Command::new("curl").args(["-s", "--cacert", &authority, &format!("{endpoint}/health")]).output().unwrap();
    assert!(!bare.status.success(), "a client without a certificate was served");
    assert!(call("alice", &["member", "list"]).unwrap().contains("https://"));

    call("root", &["user", "add", "root:r"]).unwrap();
    call("root", &["user", "add", "alice", "--no-password"]).unwrap();
    call("root", &["role", "add", "role"]).unwrap();
    call("root", &["role", "grant-permission", "role", "read", "a"]).unwrap();
    call("root", &["user", "grant-role", "alice", "role"]).unwrap();
    call("root", &["auth", "enable"]).unwrap();
    assert_eq!(call("alice", &["get", "a"]), Ok("a\n1\n".to_owned()));
    refused(call("alice", &["put", "a", "2"]), "permission denied");
    refused(call("server", &["get", "a"]), "permission denied");
    assert_eq!(call("root", &["put", "a", "2"]), Ok("OK\n".to_owned()));
    // A token says more than a certificate does.
    assert_eq!(call("alice", &["--user", "root:r", "put", "a", "3"]), Ok("OK\n".to_owned()));
    // The gateway does not take the certificate of whoever brings the request for its user.
    let (certificate, key) = (path("root.crt"), path("root.key"));
    let options = ["--cacert", &authority, "--cert", &certificate, "--key", &key];
    let (status, body) = curl(&format!("{endpoint}/v3/kv/range"), Some(&json!({"key": "YQ=="})), &options);
    assert_eq!(status, "400", "{body}");
    assert!(body.contains("user name is empty"), "{body}");
    ensemble.stop().unwrap();
}
