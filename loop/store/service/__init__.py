"""Queries for the service and its operators: keys, events, webhooks, health."""
