//! Sends lines of StatsD: in datagrams, or over a connection to a cluster.

use std::{fmt, sync::Arc, time::Duration};

use tokio::io::AsyncWriteExt;

use super::{Collected, datagrams::Datagrams, lines};
use crate::{
    cluster::{
        ClusterState,
        async_client::{self, Stream},
    },
    export::sender::{Surroundings, destination},
    snapshot::stats::{Statsd, StatsdAddress},
};

/// How long a server may take to read the lines of a flush.
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);

/// Takes lines to one server.
#[derive(Debug)]
pub(super) struct StatsdSender {
    to: To,
    /// What was told last. That it arrived is not known of datagrams, so that what was told is not told again.
    told: Collected,
}

enum To {
    Datagrams(Datagrams),
    Cluster(Arc<ClusterState>, Option<Stream>),
}

impl fmt::Debug for To {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Datagrams(_) => "Datagrams",
            Self::Cluster(..) => "Cluster",
        })
    }
}

impl StatsdSender {
    /// To the server of `config`.
    pub(super) fn new(config: &Statsd, around: &Surroundings<'_>) -> Result<Self, String> {
        let to = match &config.address {
            StatsdAddress::Datagrams(address) => To::Datagrams(Datagrams::new(address.clone())),
            StatsdAddress::Cluster(id) => To::Cluster(around.cluster(*id)?, None),
        };
        Ok(Self { to, told: Collected::default() })
    }

    /// Where lines go, in words.
    pub(super) fn destination(&self) -> String {
        match &self.to {
            To::Datagrams(datagrams) => datagrams.destination(),
            To::Cluster(cluster, _) => destination(&cluster.config),
        }
    }

    /// Send a line of each statistic.
    pub(super) async fn send(&mut self, config: &Statsd, now: Collected) -> Result<(), String> {
        let told = std::mem::replace(&mut self.told, Arc::clone(&now));
        match &mut self.to {
            To::Datagrams(datagrams) => {
                let mut texts = Vec::new();
                lines::write(config, &now, &told, &mut |line| pack(&mut texts, line, config.datagram_bytes));
                datagrams.send(&texts).await
            }
            To::Cluster(cluster, stream) => {
                let mut text = String::new();
                lines::write(config, &now, &told, &mut |line| {
                    text.push_str(line);
                    text.push('\n');
                });
                let mut open = match stream.take() {
                    Some(open) => open,
                    None => async_client::stream(Arc::clone(cluster))
                        .await
                        .map_err(|failure| format!("cannot be reached: {failure}"))?,
                };
                let written = async {
                    open.write_all(text.as_bytes()).await?;
                    open.flush().await
                };
                let written = tokio::time::timeout(WRITE_TIMEOUT, written).await;
                match written {
                    Ok(Ok(())) => {
                        *stream = Some(open);
                        Ok(())
                    }
                    Ok(Err(error)) => Err(format!("broke the connection: {error}")),
                    Err(_) => Err(format!("took nothing for {WRITE_TIMEOUT:?}")),
                }
            }
        }
    }
}

/// Add a line to the last datagram if there is room in it, or else in one of its own.
fn pack(datagrams: &mut Vec<String>, line: &str, most: Option<usize>) {
    match (datagrams.last_mut(), most) {
        (Some(last), Some(most)) if last.len() + 1 + line.len() <= most => {
            last.push('\n');
            last.push_str(line);
        }
        _ => datagrams.push(line.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_share_a_datagram_as_far_as_there_is_room() {
        let packed = |most| {
            let mut datagrams = Vec::new();
            for line in ["a:1|c", "b:2|c", "long.name:3|c", "d:4|c"] {
                pack(&mut datagrams, line, most);
            }
            datagrams
        };
        assert_eq!(packed(None), ["a:1|c", "b:2|c", "long.name:3|c", "d:4|c"]);
        assert_eq!(packed(Some(11)), ["a:1|c\nb:2|c", "long.name:3|c", "d:4|c"]);
        assert_eq!(packed(Some(1)), packed(None), "a line is not cut");
    }
}
