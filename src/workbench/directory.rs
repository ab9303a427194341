//! The names of nodes, clients and services.

use std::collections::HashMap;

use super::network::Endpoint;

/// Finds endpoints by name and names by endpoint.
pub struct Directory {
    nodes: Vec<String>,
    clients: Vec<String>,
    services: Vec<&'static str>,
    // Only ever looked up, never iterated: its order can't leak into a run.
    endpoints: HashMap<String, Endpoint>,
}

impl Directory {
    /// A network without clients.
    pub fn new(nodes: &[String], services: impl Iterator<Item = &'static str>) -> Self {
        let services: Vec<_> = services.collect();
        let node_names = nodes.iter().cloned();
        let node_entries = node_names
            .enumerate()
            .map(|(index, name)| (name, Endpoint::Node(index)));
        let service_names = services.iter().map(|&name| String::from(name));
        let service_entries = service_names
            .enumerate()
            .map(|(index, name)| (name, Endpoint::Service(index)));
        Directory {
            nodes: nodes.to_vec(),
            clients: Vec::new(),
            endpoints: node_entries.chain(service_entries).collect(),
            services,
        }
    }

    /// Adds a client, named `c` and the next number. Returns its index.
    pub fn add_client(&mut self) -> usize {
        let client = self.clients.len();
        let name = format!("c{client}");
        self.clients.push(name.clone());
        self.endpoints.insert(name, Endpoint::Client(client));
        client
    }

    /// The endpoint with this name.
    pub fn find(&self, name: &str) -> Option<Endpoint> {
        self.endpoints.get(name).copied()
    }

    /// The service whose name differs from this one in nothing but case, hyphens and underscores.
    pub fn similar_service(&self, name: &str) -> Option<&'static str> {
        let plain = |name: &str| name.replace(['-', '_'], "").to_lowercase();
        let mut services = self.services.iter().copied();
        services.find(|service| plain(service) == plain(name))
    }

    /// The name of a node, client or service.
    pub fn name(&self, endpoint: Endpoint) -> &str {
        match endpoint {
            Endpoint::Node(index) => &self.nodes[index],
            Endpoint::Client(index) => &self.clients[index],
            Endpoint::Service(index) => self.services[index],
        }
    }

    /// The names of the nodes.
    pub fn nodes(&self) -> &[String] {
        &self.nodes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_known_by_its_name_however_its_words_are_put_together() {
        let directory = Directory::new(&[], ["seq-kv", "lin-kv"].into_iter());
        for (name, service) in [
            ("seq_kv", Some("seq-kv")),
            ("seqkv", Some("seq-kv")),
            ("SEQ-KV", Some("seq-kv")),
            ("linKV", Some("lin-kv")),
            ("seq", None),
            ("kv", None),
            ("", None),
        ] {
            assert_eq!(directory.similar_service(name), service, "{name}");
        }
    }
}
