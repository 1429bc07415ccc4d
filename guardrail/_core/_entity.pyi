from guardrail._core._entity_py import Entity as Entity
