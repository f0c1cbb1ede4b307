//! Mutation and crossover, which derive new placements from known ones.

use rand::Rng;
use rand::seq::{IndexedRandom, SliceRandom};

use crate::{AdapterSpec, Connection, Placement, SearchSpace};

/// The way in which a mutation changes a placement.
#[derive(Clone, Copy)]
enum Change {
    Add,
    Remove,
    Replace,
}

impl SearchSpace {
    /// The largest distance at which two connections count as near each other.
    pub const NEAR: u32 = 2;

    /// Another placement of this space that differs from `placement` in one adapter, or `None` if there is no other
    /// placement.
    ///
    /// A mutation adds an adapter, removes one, or (half of the time, and always if the size is fixed) replaces one: 19
    /// times out of 20 by one on a near connection (at most 2 away; on the same connection with another rank), else by
    /// any. A placement outside this space is answered with a uniform sample.
    ///
    /// One change is always enough. Unless all ranks are the smallest, one of them can be lowered. If they are, and the
    /// connections are not the cheapest of their number, one can be exchanged for a cheaper one. And if those are, too,
    /// one addition gives the next size whenever that size fits at all.
    pub fn mutate<R: Rng + ?Sized>(
        &self,
        placement: &Placement,
        random: &mut R,
    ) -> Option<Placement> {
        if !self.contains(placement) {
            return Some(self.sample(random));
        }
        let mut changes = [
            Change::Replace,
            Change::Replace,
            Change::Add,
            Change::Remove,
        ];
        changes.shuffle(random);
        changes.into_iter().find_map(|change| match change {
            Change::Add => self.add_one(placement, random),
            Change::Remove => self.remove_one(placement, random),
            Change::Replace => self.replace_one(placement, random),
        })
    }

    /// A placement of this space that combines two others and has the size of one of them.
    ///
    /// The connections that both parents have are kept. The others are drawn from either parent as long as the
    /// placement remains completable, and extensions from the whole space fill what is still missing. A parent outside
    /// this space is answered with a uniform sample.
    pub fn crossover<R: Rng + ?Sized>(
        &self,
        a: &Placement,
        b: &Placement,
        random: &mut R,
    ) -> Placement {
        if !self.contains(a) || !self.contains(b) {
            return self.sample(random);
        }
        let (first, second) = if random.random::<bool>() {
            (a, b)
        } else {
            (b, a)
        };
        let size = first.len();
        // What both parents have is a part of `first`, hence completable to its size.
        let common = first
            .iter()
            .filter(|&(connection, _)| second.contains(connection));
        let mut child: Placement = common.collect();
        for connection in child.clone().connections() {
            let other = second
                .get(connection)
                .map(|adapter| child.with(connection, adapter));
            if let Some(other) = other.filter(|_| random.random::<bool>())
                && self.completable(&other, size)
            {
                child = other;
            }
        }
        let either = first.iter().chain(second.iter());
        let mut rest: Vec<_> = either
            .filter(|&(connection, _)| !child.contains(connection))
            .collect();
        rest.shuffle(random);
        for (connection, adapter) in rest {
            let larger = child.with(connection, adapter);
            if child.len() < size && self.completable(&larger, size) {
                child = larger;
            }
        }
        while child.len() < size {
            child = self
                .extended_at_random(&child, size, random)
                .expect("a completable placement below its size has an extension");
        }
        child
    }

    fn add_one<R: Rng + ?Sized>(&self, placement: &Placement, random: &mut R) -> Option<Placement> {
        self.extended_at_random(placement, placement.len() + 1, random)
    }

    fn remove_one<R: Rng + ?Sized>(
        &self,
        placement: &Placement,
        random: &mut R,
    ) -> Option<Placement> {
        let smaller = placement.len() - 1;
        self.sizes().binary_search(&smaller).ok()?;
        let connections: Vec<Connection> = placement.connections().collect();
        connections
            .choose(random)
            .map(|&connection| placement.without(connection))
    }

    fn replace_one<R: Rng + ?Sized>(
        &self,
        placement: &Placement,
        random: &mut R,
    ) -> Option<Placement> {
        let mut adapters: Vec<(Connection, AdapterSpec)> = placement.iter().collect();
        adapters.shuffle(random);
        adapters.into_iter().find_map(|removed| {
            let rest = placement.without(removed.0);
            let mut any = self.extensions(&rest, placement.len());
            any.retain(|&added| added != removed);
            let mut near = any.clone();
            near.retain(|&(connection, _)| connection.distance(removed.0) <= Self::NEAR);
            let candidates = if near.is_empty() || random.random_ratio(1, 20) {
                any
            } else {
                near
            };
            let added = candidates.choose(random);
            added.map(|&(connection, adapter)| rest.with(connection, adapter))
        })
    }

    fn extended_at_random<R: Rng + ?Sized>(
        &self,
        placement: &Placement,
        size: usize,
        random: &mut R,
    ) -> Option<Placement> {
        let extensions = self.extensions(placement, size);
        let added = extensions.choose(random);
        added.map(|&(connection, adapter)| placement.with(connection, adapter))
    }
}
