curl -X POST "http://localhost:8000/order-service/order/create" -H "Content-Type: application/json" -d '{"order_id": "123e4567-e89b-12d3-a456-426614174000", "user_id": "user123", "items_ids": ["item1", "item2"], "total_amount": 100.00}'
# 200 application/json | {"message":"Order created successfully"}¶
    curl "http://localhost:8000/order-service/order/order-status?order_id=123e4567-e89b-12d3-a456-426614174000"
# 200 application/json | {"order_status":"Completed"}¶
    curl "http://localhost:8000/order-service/order/order-metric"
# 200 application/json | {"order_metrics":{"total_orders":1,"avg_processing_time":5,"orders_by_status":[{"status":"Completed","count":1}]}}¶
