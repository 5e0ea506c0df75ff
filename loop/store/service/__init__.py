"""Queries of the service and its operators: keys, events, webhooks, health."""
