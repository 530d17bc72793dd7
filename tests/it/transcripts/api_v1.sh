curl --location --request POST 'http://localhost:8000/api/v1/orders' \
--header 'Content-Type: application/json' \
--data-raw '{
    "order_id": "order123",
    "user_id": 102,
    "item_ids": [
        101,
        102,
        103
    ],
    "total_amount": 1001
}'
# 202 application/json | {"status_code":202,"message":"Order successfully processed. Please check status for order id: order123"}
curl --location --request GET 'http://localhost:8000/api/v1/orders/ORD123'
# 404 application/json | {"status_code":404,"message":"Order not found"}
# 200 application/json | {"order_id":"ORD123","status":"Completed"}
curl --location --request GET 'http://localhost:8000/api/v1/metrics'
# 200 application/json | {"status_code":200,"message":"Succesfully fetched metrics Ddta","data":{"total_orders_processed":2,"total_processing_time":<num>,"status_counts":{"Pending":0,"Processing":0,"Completed":2}}}
