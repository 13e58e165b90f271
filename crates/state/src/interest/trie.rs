//! Exact keys and prefixes: a path-compressed trie whose nodes hold the subscribers of the key that ends there.
//!
//! Nodes lie in one vector and name each other by their places, so that neither walking nor dropping recurses: a
//! client may subscribe to keys that are prefixes of each other, thousands deep. Apart from the root, a node without
//! subscribers has at least two children; one that loses its purpose is merged away.
//!
//! It knows nothing of tables and ranges.

use super::{add, take};

/// Whether a subscriber wants a key or everything that begins with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    Exact,
    Prefix,
}

const ROOT: u32 = 0;

#[derive(Clone, Debug)]
pub(super) struct Trie<W> {
    /// The root is the first and has an empty label. Vacant places are listed in `vacant`.
    nodes: Vec<Node<W>>,
    vacant: Vec<u32>,
}

#[derive(Clone, Debug)]
struct Node<W> {
    /// What the path to this node adds to the path to its parent.
    label: Box<[u8]>,
    /// First byte of a child's label, and the child; sorted.
    children: Vec<(u8, u32)>,
    exact: Vec<W>,
    prefix: Vec<W>,
}

impl<W: Ord> Node<W> {
    fn new(label: &[u8]) -> Node<W> {
        Node { label: Box::from(label), children: Vec::new(), exact: Vec::new(), prefix: Vec::new() }
    }

    fn child(&self, first: u8) -> Result<usize, usize> {
        self.children.binary_search_by_key(&first, |&(byte, _)| byte)
    }

    fn subscribers(&mut self, reach: Reach) -> &mut Vec<W> {
        match reach {
            Reach::Exact => &mut self.exact,
            Reach::Prefix => &mut self.prefix,
        }
    }

    fn has_subscribers(&self) -> bool {
        !self.exact.is_empty() || !self.prefix.is_empty()
    }
}

impl<W: Ord> Trie<W> {
    pub(super) fn new() -> Trie<W> {
        Trie { nodes: vec![Node::new(&[])], vacant: Vec::new() }
    }

    pub(super) fn insert(&mut self, key: &[u8], reach: Reach, subscriber: W) -> bool {
        let (mut at, mut rest) = (ROOT, key);
        while let Some(&first) = rest.first() {
            match self.node(at).child(first) {
                Ok(position) => {
                    let child = self.node(at).children[position].1;
                    let common = common_length(&self.node(child).label, rest);
                    if common < self.node(child).label.len() {
                        let upper = self.split(child, common);
                        self.node_mut(at).children[position].1 = upper;
                        at = upper;
                    } else {
                        at = child;
                    }
                    rest = &rest[common..];
                }
                Err(position) => {
                    let leaf = self.place(Node::new(rest));
                    self.link(at, position, (first, leaf));
                    at = leaf;
                    rest = &[];
                }
            }
        }
        add(self.node_mut(at).subscribers(reach), subscriber)
    }

    pub(super) fn remove(&mut self, key: &[u8], reach: Reach, subscriber: &W) -> bool {
        let mut path = vec![ROOT];
        let (mut at, mut rest) = (ROOT, key);
        while let Some(child) = self.step(at, rest) {
            rest = &rest[self.node(child).label.len()..];
            path.push(child);
            at = child;
        }
        if !rest.is_empty() || !take(self.node_mut(at).subscribers(reach), subscriber) {
            return false;
        }
        self.prune(&path);
        true
    }

    pub(super) fn matching<'a>(&'a self, key: &[u8], tell: &mut impl FnMut(&'a W)) {
        let (mut at, mut rest) = (ROOT, key);
        loop {
            let node = self.node(at);
            node.prefix.iter().for_each(&mut *tell);
            if rest.is_empty() {
                node.exact.iter().for_each(&mut *tell);
                return;
            }
            let Some(child) = self.step(at, rest) else {
                return;
            };
            rest = &rest[self.node(child).label.len()..];
            at = child;
        }
    }

    /// The child of `at` whose whole label `rest` begins with.
    fn step(&self, at: u32, rest: &[u8]) -> Option<u32> {
        let node = self.node(at);
        let position = node.child(*rest.first()?).ok()?;
        let child = node.children[position].1;
        rest.starts_with(&self.node(child).label).then_some(child)
    }

    /// Puts a node above `lower` that takes the first `length` bytes of its label.
    fn split(&mut self, lower: u32, length: usize) -> u32 {
        let label = std::mem::take(&mut self.node_mut(lower).label);
        let (upper_label, lower_label) = label.split_at(length);
        let mut upper = Node::new(upper_label);
        upper.children.push((lower_label[0], lower));
        self.node_mut(lower).label = Box::from(lower_label);
        self.place(upper)
    }

    /// Restores the shape along a path whose last node lost a subscriber.
    fn prune(&mut self, path: &[u32]) {
        for pair in path.windows(2).rev() {
            let &[parent, at] = pair else { unreachable!("windows of two") };
            if self.node(at).has_subscribers() {
                return;
            }
            let position = self.node(parent).child(self.node(at).label[0]);
            let position = position.expect("a parent knows its child");
            match *self.node(at).children.as_slice() {
                [] => {
                    self.node_mut(parent).children.remove(position);
                    self.vacate(at);
                }
                [(_, only)] => {
                    let label = [&*self.node(at).label, &*self.node(only).label].concat();
                    self.node_mut(only).label = label.into_boxed_slice();
                    self.node_mut(parent).children[position].1 = only;
                    self.vacate(at);
                    return;
                }
                _ => return,
            }
        }
    }

    fn link(&mut self, parent: u32, position: usize, child: (u8, u32)) {
        self.node_mut(parent).children.insert(position, child);
    }

    fn place(&mut self, node: Node<W>) -> u32 {
        if let Some(at) = self.vacant.pop() {
            *self.node_mut(at) = node;
            return at;
        }
        let at = u32::try_from(self.nodes.len()).expect("subscriptions are bounded far below 2^32");
        self.nodes.push(node);
        at
    }

    fn vacate(&mut self, at: u32) {
        *self.node_mut(at) = Node::new(&[]);
        self.vacant.push(at);
    }

    fn node(&self, at: u32) -> &Node<W> {
        &self.nodes[at as usize]
    }

    fn node_mut(&mut self, at: u32) -> &mut Node<W> {
        &mut self.nodes[at as usize]
    }

    /// Asserts the shape, and that every place is reachable or vacant. Visits everything.
    #[cfg(test)]
    pub(super) fn check(&self) {
        let mut reachable = 0;
        let mut open = vec![ROOT];
        while let Some(at) = open.pop() {
            reachable += 1;
            let node = self.node(at);
            assert!(node.children.is_sorted_by(|a, b| a.0 < b.0));
            assert!(node.exact.is_sorted_by(|a, b| a < b) && node.prefix.is_sorted_by(|a, b| a < b));
            assert!(at == ROOT || node.has_subscribers() || node.children.len() >= 2);
            for &(first, child) in &node.children {
                assert_eq!(self.node(child).label[0], first);
                open.push(child);
            }
        }
        assert_eq!(reachable + self.vacant.len(), self.nodes.len());
    }
}

fn common_length(left: &[u8], right: &[u8]) -> usize {
    left.iter().zip(right).take_while(|(left, right)| left == right).count()
}
