//! The environments that this process serves.

use std::sync::Arc;

use parking_lot::RwLock;

use crate::Environment;

/// All open environments.
#[derive(Default)]
pub struct Environments {
    open: RwLock<Vec<Arc<Environment>>>,
}

impl Environments {
    /// Adds one that was opened.
    pub fn add(&self, environment: Arc<Environment>) {
        self.open.write().push(environment);
    }

    /// Takes one out of use.
    pub fn remove(&self, name: &str) -> Option<Arc<Environment>> {
        let mut open = self.open.write();
        let at = open.iter().position(|one| one.name == name)?;
        Some(open.remove(at))
    }

    /// All of them, in the order in which they were added.
    pub fn all(&self) -> Vec<Arc<Environment>> {
        self.open.read().clone()
    }

    /// The one whose tokens have this issuer.
    pub fn by_client_id(&self, client_id: &str) -> Option<Arc<Environment>> {
        self.find(|environment| environment.client_id == client_id)
    }

    /// The one of this name.
    pub fn by_name(&self, name: &str) -> Option<Arc<Environment>> {
        self.find(|environment| environment.name == name)
    }

    /// The only one, if there is just one.
    pub fn only(&self) -> Option<Arc<Environment>> {
        match self.open.read().as_slice() {
            [environment] => Some(environment.clone()),
            _ => None,
        }
    }

    fn find(&self, fits: impl Fn(&Environment) -> bool) -> Option<Arc<Environment>> {
        let open = self.open.read();
        open.iter().find(|environment| fits(environment)).cloned()
    }
}
