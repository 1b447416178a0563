//! spanway and Envoy on one bootstrap, asked the same.

use serde_json::Value;
use tempfile::TempDir;
use tokio::{
    process::{Child, Command},
    time::{Duration, sleep},
};

use crate::{
    envoy,
    harness::{Admin, Bootstrap, FreePort, Message, TestProxy, within},
};

/// Both, serving.
pub(crate) struct Pair {
    pub(crate) ours: TestProxy,
    listener: FreePort,
    admin: FreePort,
    _envoy: Child,
    _folder: TempDir,
}

impl Pair {
    /// Start both on `bootstrap`, which asks for an admin interface.
    pub(crate) async fn start(bootstrap: &Bootstrap) -> Self {
        let program = envoy::find().await.unwrap();
        let (listener, admin) = (FreePort::new(), FreePort::new());
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("envoy.yaml");
        std::fs::write(&config, bootstrap.text_with_admin(listener.address, admin.address)).unwrap();
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let mut envoy = Command::new(program)
            .arg("-c")
            .arg(&config)
            .args(["--concurrency", "1", "--disable-hot-restart"])
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let ready = async {
            while std::net::TcpStream::connect(listener.address).is_err() {
                if let Some(status) = envoy.try_wait().unwrap() {
                    let log = std::fs::read_to_string(folder.path().join("log")).unwrap();
                    panic!("Envoy ended with {status}:\n{log}");
                }
                // Nothing tells when another process listens.
                sleep(Duration::from_millis(10)).await;
            }
        };
        within(ready).await;
        let ours = bootstrap.start().await;
        Self { ours, listener, admin, _envoy: envoy, _folder: folder }
    }

    /// Envoy's admin interface.
    pub(crate) fn envoy(&self) -> Admin {
        Admin(self.admin.address)
    }

    /// Where Envoy listens.
    pub(crate) fn envoy_address(&self) -> std::net::SocketAddr {
        self.listener.address
    }

    /// The answers of both to one request: ours, Envoy's.
    pub(crate) async fn ask(&self, method: &str, path: &str) -> (Message, Message) {
        (self.ours.admin().ask(method, path, "", "").await, self.envoy().ask(method, path, "", "").await)
    }

    /// Both answer `method path` with the same status, type of content and text, but for their ports.
    pub(crate) async fn assert_same(&self, method: &str, path: &str) {
        let (ours, theirs) = self.ask(method, path).await;
        let head = |message: &Message| (message.status(), message.header("content-type").map(str::to_owned));
        assert_eq!(head(&ours), head(&theirs), "{method} {path}");
        assert_eq!(self.nameless(ours.text()), self.nameless(theirs.text()), "{method} {path}");
    }

    /// The JSON that both answer to `GET path`, but for their ports: ours, Envoy's.
    pub(crate) async fn json(&self, path: &str) -> (Value, Value) {
        let (ours, theirs) = self.ask("GET", path).await;
        let head = |message: &Message| (message.status(), message.header("content-type").map(str::to_owned));
        assert_eq!(head(&ours), head(&theirs), "{path}: {}", ours.text());
        let read = |message: &Message| {
            serde_json::from_str(&self.nameless(message.text()))
                .unwrap_or_else(|error| panic!("{error}: {}", message.text()))
        };
        (read(&ours), read(&theirs))
    }

    /// `text` with one word for the listeners of both, and one for their admin interfaces.
    pub(crate) fn nameless(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (address, name) in [
            (self.ours.address(), 1),
            (self.listener.address, 1),
            (self.ours.admin().0, 2),
            (self.admin.address, 2),
        ] {
            // Numbers, so that what was JSON stays JSON.
            text = text.replace(&address.port().to_string(), &name.to_string());
        }
        text
    }
}

/// All names of members in `value`, with the names that lead to them.
pub(crate) fn keys(value: &Value) -> Vec<String> {
    fn walk(value: &Value, path: &str, found: &mut Vec<String>) {
        match value {
            Value::Object(members) => {
                for (name, value) in members {
                    let path = format!("{path}.{name}");
                    walk(value, &path, found);
                    found.push(path);
                }
            }
            Value::Array(items) => items.iter().for_each(|item| walk(item, path, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    walk(value, "", &mut found);
    found.sort();
    found.dedup();
    found
}
