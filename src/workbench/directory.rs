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
