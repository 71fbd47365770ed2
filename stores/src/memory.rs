//! Objects in this process's memory: for tests and measurements in which no store is to be felt.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::error::{Fault, Result, StoreError};
use crate::store::{Object, Store};

/// Objects in memory.
#[derive(Debug, Default)]
pub struct Memory {
    objects: Mutex<BTreeMap<String, Arc<Vec<u8>>>>,
}

impl Memory {
    fn objects(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Vec<u8>>>> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for Memory {
    fn name(&self) -> String {
        "memory:///".into()
    }

    fn list(&self, prefix: &str, take: &mut dyn FnMut(Object) -> bool) -> Result<()> {
        let found = Vec::from_iter(
            self.objects().range(prefix.to_owned()..).take_while(|(key, _)| key.starts_with(prefix)).map(
                |(key, bytes)| Object { key: key.clone(), size: bytes.len() as u64, etag: String::new() },
            ),
        );
        for object in found {
            if !take(object) {
                break;
            }
        }
        Ok(())
    }

    fn get(&self, object: &Object) -> Result<Vec<u8>> {
        self.read(&object.key)
    }

    fn read(&self, key: &str) -> Result<Vec<u8>> {
        let found = self.objects().get(key).map(Arc::clone);
        found.map(|bytes| bytes.to_vec()).ok_or_else(|| StoreError {
            verb: "read",
            what: format!("memory:///{}", key.escape_debug()),
            fault: Fault::Missing,
        })
    }

    fn put(&self, key: &str, bytes: &[u8]) -> Result<()> {
        self.objects().insert(key.to_owned(), Arc::new(bytes.to_vec()));
        Ok(())
    }

    fn create(&self, key: &str, bytes: &[u8]) -> Result<()> {
        let mut objects = self.objects();
        if objects.contains_key(key) {
            return Err(StoreError {
                verb: "create",
                what: format!("memory:///{}", key.escape_debug()),
                fault: Fault::Exists,
            });
        }
        objects.insert(key.to_owned(), Arc::new(bytes.to_vec()));
        Ok(())
    }

    fn remove(&self, key: &str) -> Result<()> {
        self.objects().remove(key);
        Ok(())
    }

    fn has(&self, key: &str) -> Result<bool> {
        Ok(self.objects().contains_key(key))
    }
}
