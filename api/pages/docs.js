// The page that shows the OpenAPI document.
SwaggerUIBundle({ url: "/openapi.json", dom_id: "#swagger", deepLinking: true, tryItOutEnabled: true, validatorUrl: null });
